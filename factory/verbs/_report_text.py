"""What was done to an account, for people and for scripts."""

import argparse

from factory.account.changes import Report
from factory.account.cloud import Account
from factory.verbs import Console


def report_lines(account: Account, report: Report) -> list[str]:
    """Return a report as a person reads it."""
    lines = [f"In {account}:"]
    for change in report.changes:
        note = f"  ({change.note})" if change.note else ""
        lines.append(f"  {change.outcome:<10} {change.kind:<22} {change.name}{note}")
    return [*lines, *(f"Note: {note}" for note in report.notes)]


def show_report(
    console: Console, arguments: argparse.Namespace, account: Account, report: Report
) -> None:
    """Show what was done to an account for a method."""
    if arguments.json:
        console.show({"method": arguments.method, **report.as_fields(account)})
    else:
        console.say(*report_lines(account, report))
