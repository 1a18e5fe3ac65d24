"""``factory audit``: what an account has that no account should have; it changes nothing."""

import argparse
import os
from datetime import timedelta
from typing import Final

from msgspec import to_builtins

from factory.account.accounts import aws_accounts
from factory.diagnosis.audit import Ages, Audit, AuditFinding
from factory.errors.audit import AUDIT_FAILED
from factory.lint.finding import Severity
from factory.verbs import Console
from factory.verbs._options import add_account, whole

SUMMARY: Final = "Find certificates, things, policies and CAs that are a risk or left over."


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of ``factory audit``."""
    for name, default, words in (
        ("soon", 30, "before the end of a certificate or a CA"),
        ("old", 1095, "from which a device's certificate is old"),
        ("claim", 90, "from which a claim certificate should have been replaced"),
    ):
        command.add_argument(
            f"--{name}", type=whole(0, 36500, "days"), default=default, metavar="DAYS",
            help=f"days {words}; default: %(default)s",
        )  # fmt: skip
    add_account(command)


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Show what is found in each account.

    Raises:
        AuditFailedError: there is at least one error.
        CloudError: AWS cannot be called at all.
    """
    days = (timedelta(days=each) for each in (arguments.soon, arguments.old, arguments.claim))
    limits, errors, shown = Ages(*days), 0, 0
    for cloud in aws_accounts(arguments.account, os.environ):
        audit = Audit(cloud, limits)
        for each in audit.findings():
            errors += each.severity == Severity.ERROR
            shown += 1
            console.show(to_builtins(each), *lines_of(each))
        for check, action in audit.not_looked_at.items():
            document = {"not_looked_at": check, "right": action}
            console.show(document, f"not looked at: {check} (allow {action} in IAM)")
    if not shown:
        console.say("Nothing was found.")
    if errors:
        raise AUDIT_FAILED.error(f"{errors} error(s)")


def lines_of(found: AuditFinding) -> tuple[str, str]:
    """Return what people read of a finding."""
    return (
        f"{found.severity}: {found.about}: {found.finding} [{found.code}]",
        f"   seen: {found.evidence}; next: {found.next_step}",
    )
