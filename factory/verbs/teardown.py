"""``factory teardown``: the cloud as it was before ``factory prepare``."""

import argparse
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from factory.account.accounts import aws_accounts
from factory.account.changes import Outcome, Report
from factory.account.cloud import Cloud
from factory.console import Console
from factory.errors import StationNotPreparedError
from factory.methods import METHODS, renewal
from factory.methods.prepared_account import forget_prepared
from factory.station.station import Station, open_station
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
        help="with --method: also what prepare --renewal created, for the devices of every method",
    )  # fmt: skip


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Remove the resources of one method, or of all, from each account.

    Raises:
        StationError, StorageError: the cloud or the disk refused.
    """
    methods = [METHODS[arguments.method]] if arguments.method else dict.fromkeys(METHODS.values())
    with ExitStack() as stack:
        station = _station_if_any(stack, arguments.station)
        for cloud in aws_accounts(arguments.account, os.environ):
            console.say(f"Removing it from {cloud.account}; it takes some seconds.")
            reports = (
                method.teardown(cloud, station, devices=arguments.devices) for method in methods
            )
            report = Report.of([*_renewal(cloud, arguments), *reports])
            if station is not None:
                forget_prepared(station, arguments.method, cloud)
            show_report(console, arguments, cloud.account, report)
            if not arguments.json:
                console.say(_conclusion(report))


def _renewal(cloud: Cloud, arguments: argparse.Namespace) -> list[Report]:
    """Remove what renewals need, before the methods that share the policy with it."""
    if arguments.method and not arguments.renewal:
        return []
    return [renewal.teardown(cloud, devices=arguments.devices)]


def _conclusion(report: Report) -> str:
    last = {(change.kind, change.name): change.outcome for change in report.changes}
    kept = list(last.values()).count(Outcome.KEPT)
    left = f" {kept} kept; the reason is given beside each." if kept else ""
    return ("Removed." if report.is_change else "Nothing to remove.") + left


def _station_if_any(stack: ExitStack, folder: Path) -> Station | None:
    try:
        return stack.enter_context(open_station(folder))
    except StationNotPreparedError:
        return None
