"""``factory lint``: our own look at policies and templates, before AWS has one."""

import argparse
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from factory.account.accounts import aws_accounts
from factory.account.cloud import Cloud
from factory.account.documents import CONFIG
from factory.console import Console
from factory.errors import LintFailedError, NothingToLintError, OptionNotUsedError
from factory.lint.cloud_rules import lint_in_cloud, lint_stored_template
from factory.lint.context import Context
from factory.lint.document import Kind, load_document
from factory.lint.finding import Finding, Severity
from factory.lint.linter import lint
from factory.making.device_orders import config_name
from factory.making.device_settings import load_device_settings
from factory.methods import METHODS
from factory.verbs._options import add_account, check_one_account

SUMMARY: Final = "Find errors and too wide permissions in policies and templates."


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of ``factory lint``."""
    command.add_argument(
        "files", nargs="*", type=Path, metavar="FILE", help="policies and templates, as JSON"
    )
    command.add_argument(
        "--method",
        choices=METHODS,
        help="check this method's documents, or check FILE as one of them",
    )
    command.add_argument(
        "--config", type=Path, metavar="FILE", help="the device's settings; default: the method's"
    )
    command.add_argument(
        "--cloud", action="store_true", help="also check in AWS that groups and types exist"
    )
    add_account(command)


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Show what is wrong in the documents.

    Raises:
        NothingToLintError: neither files nor a method were named.
        ConfigurationError: a file is not JSON.
        LintFailedError: there is at least one error.
    """
    _check_options(arguments)
    files = arguments.files or (METHODS[arguments.method].files() if arguments.method else [])
    if not files:
        raise NothingToLintError("there is nothing to check")
    context = _context(arguments.method, arguments.config)
    cloud = aws_accounts(arguments.account, os.environ)[0] if arguments.cloud else None
    findings = [finding for file in files for finding in _look_at(file, context, cloud)]
    for finding in findings:
        console.show(finding.as_fields(), *_lines(finding))
    _conclude(findings)
    if not arguments.json:
        console.say(f"{len(files)} document(s), {len(findings)} warning(s), no errors.")


def _check_options(arguments: argparse.Namespace) -> None:
    """Refuse an option that nothing would be done with."""
    if arguments.config and not arguments.method:
        problem = "settings need a method, and none is given"
        raise OptionNotUsedError("--config", problem, "Add the method: --method claim")
    if arguments.account and not arguments.cloud:
        problem = "no account is used"
        raise OptionNotUsedError("--account", problem, "Add --cloud, or leave it out.")
    check_one_account(arguments)


def check_before_prepare(
    method: str, console: Console, folder: Path = CONFIG, more: Iterable[Path] = ()
) -> None:
    """Refuse to send to AWS what the linter calls an error, in the method's files or ``more``.

    Raises:
        LintFailedError: there is at least one.
    """
    context = _context(method, None)
    files = METHODS[method].files(folder)
    findings = [each for file in files for each in _look_at(file, context, None)]
    findings += [each for file in more for each in _look_at(file, Context(), None)]
    for finding in findings:
        console.say(*_lines(finding))
    _conclude(findings)


def _context(method: str | None, config: Path | None) -> Context:
    if method is None:
        return Context()
    settings = load_device_settings(config or CONFIG / config_name(method))
    return Context(method, settings)


def _look_at(file: Path, context: Context, cloud: Cloud | None) -> Iterable[Finding]:
    document = load_document(file, cloud.account.placeholders) if cloud else load_document(file)
    yield from lint(document, context)
    if cloud is not None:
        yield from lint_in_cloud(document, cloud)
    if cloud is not None and document.kind is Kind.TEMPLATE:
        yield from lint_stored_template(file.stem, document.file, cloud)


def _lines(finding: Finding) -> tuple[str, ...]:
    rule = finding.rule
    return (
        f"{rule.severity}: {rule.id}: {finding.file}: {finding.path}: {finding.what}",
        f"  why: {rule.why} ({rule.source})",
        f"  next: {rule.next_step}",
    )


def _conclude(findings: list[Finding]) -> None:
    errors = [each for each in findings if each.rule.severity is Severity.ERROR]
    if errors:
        raise LintFailedError(len(errors))
