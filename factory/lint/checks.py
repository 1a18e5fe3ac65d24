"""The linter's look at the documents of a method, with the settings of its devices."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from factory.account.cloud import Cloud
from factory.account.documents import CONFIG
from factory.errors import LINT_FAILED
from factory.lint.cloud_rules import lint_in_cloud, lint_stored_template
from factory.lint.context import Context
from factory.lint.document import Kind, load_document
from factory.lint.finding import Finding, Severity
from factory.lint.linter import lint
from factory.making.device_orders import config_name
from factory.making.device_settings import load_device_settings
from factory.methods import METHODS, recovery, renewal
from factory.methods.method import Choices


def context_of(method: str | None, config: Path | None) -> Context:
    """Return what documents are checked against: a method, and settings of its devices.

    Raises:
        ConfigurationError: the settings cannot be used.
    """
    if method is None:
        return Context()
    settings = load_device_settings(config or CONFIG / config_name(method))
    return Context(method, settings)


def findings_in(file: Path, context: Context, cloud: Cloud | None) -> Iterable[Finding]:
    """Yield what is wrong in ``file``; with ``cloud``, also what is not there.

    Raises:
        ConfigurationError: the file is not JSON.
        CloudError: AWS did not answer, or said no.
    """
    document = load_document(file, cloud.account.placeholders) if cloud else load_document(file)
    yield from lint(document, context)
    if cloud is not None:
        yield from lint_in_cloud(document, cloud)
    if cloud is not None and document.kind is Kind.TEMPLATE:
        yield from lint_stored_template(file.stem, document.file, cloud)


def documents_of(choices: Choices, folder: Path = CONFIG) -> list[Path]:
    """Return the files in ``folder`` that are sent for ``choices``, whatever the method."""
    files = renewal.files(folder) if choices.renewal else []
    return files + (recovery.files(folder) if choices.recovery_days is not None else [])


def findings_of(method: str, folder: Path = CONFIG, *, also: Sequence[Path] = ()) -> list[Finding]:
    """Return what is wrong in the documents that ``factory prepare`` sends for ``method``.

    ``also``: and in these, which are the same for every method.

    Raises:
        ConfigurationError: a file is not JSON.
    """
    context = context_of(method, None)
    files = METHODS[method].files(folder)
    found = [each for file in files for each in findings_in(file, context, None)]
    return found + [each for file in also for each in findings_in(file, Context(), None)]


def refuse_errors(findings: Sequence[Finding]) -> None:
    """Refuse what the linter calls an error.

    Raises:
        LintFailedError: there is at least one.
    """
    errors = [each for each in findings if each.rule.severity is Severity.ERROR]
    if errors:
        raise LINT_FAILED.error(errors=len(errors))
