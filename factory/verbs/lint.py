"""``factory lint``: our own look at policies and templates, before AWS has one."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from factory.account.accounts import aws_accounts
from factory.account.documents import CONFIG
from factory.errors import NOTHING_TO_LINT, OPTION_NOT_USED
from factory.lint.checks import context_of, findings_in, findings_of, refuse_errors
from factory.lint.finding import Finding
from factory.methods import METHODS
from factory.verbs import Console
from factory.verbs._options import add_account, check_one_account

SUMMARY: Final = "Find errors and excessive permissions in policies and templates."


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of ``factory lint``."""
    command.add_argument(
        "files", nargs="*", type=Path, metavar="FILE", help="policies and templates, as JSON"
    )
    command.add_argument(
        "--method",
        choices=METHODS,
        metavar="METHOD",
        help=f"check this method's documents, or check FILE as one of them: {', '.join(METHODS)}",
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
        raise NOTHING_TO_LINT.error("there is nothing to check")
    context = context_of(arguments.method, arguments.config)
    cloud = aws_accounts(arguments.account, os.environ)[0] if arguments.cloud else None
    findings = [finding for file in files for finding in findings_in(file, context, cloud)]
    for finding in findings:
        console.show(finding.as_fields(), *_lines(finding))
    refuse_errors(findings)
    if not arguments.json:
        console.say(f"{len(files)} document(s), {len(findings)} warning(s), no errors.")


def _check_options(arguments: argparse.Namespace) -> None:
    """Refuse an option that nothing would be done with."""
    if arguments.config and not arguments.method:
        problem = "settings need a method, and none is given"
        raise OPTION_NOT_USED.error(
            problem, option="--config", next_step="Add the method: --method claim"
        )
    if arguments.account and not arguments.cloud:
        problem = "no account is used"
        raise OPTION_NOT_USED.error(
            problem, option="--account", next_step="Add --cloud, or leave it out."
        )
    check_one_account(arguments)


def check_before_prepare(
    method: str, console: Console, folder: Path = CONFIG, *, also: Sequence[Path] = ()
) -> None:
    """Refuse to send to AWS what the linter calls an error.

    Raises:
        LintFailedError: there is at least one.
    """
    findings = findings_of(method, folder, also=also)
    for finding in findings:
        console.say(*_lines(finding))
    refuse_errors(findings)


def _lines(finding: Finding) -> tuple[str, ...]:
    rule = finding.rule
    return (
        f"{rule.severity}: {rule.id}: {finding.file}: {finding.path}: {finding.what}",
        f"  why: {rule.why} ({rule.source})",
        f"  next: {rule.next_step}",
    )
