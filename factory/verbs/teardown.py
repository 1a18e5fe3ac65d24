"""``factory teardown``: the cloud as it was before ``factory prepare``."""

import argparse
from typing import Final

from factory.account.changes import Outcome, Report
from factory.api import Station
from factory.verbs import Console
from factory.verbs._options import add_method
from factory.verbs._report_text import show_report

SUMMARY: Final = "Remove from the cloud what prepare created, and nothing else."


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of ``factory teardown``."""
    add_method(command, required=False)
    command.add_argument(
        "--devices", action="store_true", help="also remove the devices that the method registered"
    )
    command.add_argument(
        "--renewal", action="store_true",
        help="with --method: also remove what prepare --renewal and --recovery created; this "
        "stops renewal for all methods",
    )  # fmt: skip


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Remove the resources of one method, or of all, from each account.

    Raises:
        StationError, StorageError: the cloud or the disk refused.
    """
    station = Station(arguments.station, accounts=arguments.account)
    for cloud in station.clouds:
        console.say(f"Removing it from {cloud.account}; it takes some seconds.")
        report = station.teardown_in(
            cloud, arguments.method, devices=arguments.devices, renews=arguments.renewal
        )
        show_report(console, arguments, cloud.account, report)
        if not arguments.json:
            console.say(_conclusion(report))


def _conclusion(report: Report) -> str:
    last = {(change.kind, change.name): change.outcome for change in report.changes}
    kept = list(last.values()).count(Outcome.KEPT)
    left = f" {kept} kept; the reason is given beside each." if kept else ""
    return ("Removed." if report.is_change else "Nothing to remove.") + left
