"""``factory ca``: the station's own certificate authorities."""

import argparse
from datetime import UTC, datetime
from typing import Final

from factory.errors import AUTHORITY_MISSING, OPTION_NOT_USED
from factory.station.station import open_or_make_station, open_station
from factory.verbs import Console

SUMMARY: Final = "Make or show the station's own certificate authorities."


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of ``factory ca``."""
    command.add_argument(
        "action", choices=["init", "show"], help="make the missing CAs, or show all"
    )
    command.add_argument(
        "--element", metavar="URI",
        help="init: make the CAs' keys in a secure element and keep them there: "
        "pkcs11:token=...?module-path=...&pin-source=...; default: in software, sealed",
    )  # fmt: skip


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Make what is missing, if that was asked for, and describe all there are.

    Raises:
        AuthorityMissingError: the station has no CA.
        OptionNotUsedError: an element was named, and nothing is to be made.
        ElementChoiceError: the CAs have their keys elsewhere already.
        ElementError: the secure element cannot be used.
        StationNotPreparedError: there is no station to show them.
        StorageError: the storage is busy, corrupt or rolled back.
    """
    if arguments.action == "show" and arguments.element:
        problem, step = "show makes no key", "Leave it out, or make the CAs: factory ca init"
        raise OPTION_NOT_USED.error(problem, option="--element", next_step=step)
    if arguments.action == "init":
        with open_or_make_station(arguments.station) as station:
            if arguments.element:
                station.authorities.use_element(arguments.element)
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
                "{0:<14} key: {key}".format("", **description),
            )
