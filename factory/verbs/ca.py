"""``factory ca``: the station's own certificate authorities."""

import argparse
from datetime import UTC, datetime
from typing import Final

from factory.console import Console
from factory.errors import AUTHORITY_MISSING
from factory.station.station import open_or_make_station, open_station

SUMMARY: Final = "Make or show the station's own certificate authorities."


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of ``factory ca``."""
    command.add_argument(
        "action", choices=["init", "show"], help="make the missing CAs, or show all"
    )


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Make what is missing, if that was asked for, and describe all there are.

    Raises:
        AuthorityMissingError: the station has no CA.
        StationNotPreparedError: there is no station to show them.
        StorageError: the storage is busy, corrupt or rolled back.
    """
    if arguments.action == "init":
        with open_or_make_station(arguments.station) as station:
            station.authorities.ensure(datetime.now(UTC))
    with open_station(arguments.station, read_only=True) as station:
        described = list(station.authorities.described())
        if not described:
            raise AUTHORITY_MISSING.error(f"the station in {arguments.station} has no CA")
        for description in described:
            console.show(
                description,
                "{ca:<14} {subject}, until {not_after:.10}".format_map(description),
                "{0:<14} {certificate_id}".format("", **description),
            )
