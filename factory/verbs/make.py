"""``factory make``: devices, and what the cloud must know of each."""

import argparse
import shlex
from pathlib import Path
from typing import Final

from factory.api import Station
from factory.errors import OPTION_NOT_USED
from factory.making.device_orders import OrderOptions
from factory.methods.products import MadeDevice
from factory.verbs import Console
from factory.verbs._line import DEVICES as _DEVICES
from factory.verbs._line import add_line, is_line, make_line
from factory.verbs._options import (
    add_again,
    add_birth,
    add_connection,
    add_method,
    check_serials,
)
from factory.verbs._report_text import report_lines

SUMMARY: Final = "Make devices: burn fuses, install identity and credentials, close the lifecycle."


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of ``factory make``."""
    add_method(command, required=True)
    add_line(command)
    command.add_argument(
        "--out", type=Path, metavar="DIR", help=f"the device's state folder; default: {_DEVICES}/SN"
    )
    command.add_argument(
        "--not-allowed", dest="allowed", action="store_false",
        help="do not add the device to the cloud's allow list, to see it refused (jitr, "
        "multi-account, claim with a hook)",
    )  # fmt: skip
    command.add_argument(
        "--claim",
        metavar="NAME",
        help="methods by claim: the named claim that the devices get; default: the one with the "
        "batch's name, else the newest",
    )
    command.add_argument("--device-id", metavar="HEX", help="16 bytes; default: random")
    add_birth(command)
    add_again(command)
    add_connection(command)


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Make the devices, one after the other, or a batch, when all that was ordered is checked.

    Raises:
        StationError, StorageError: the cloud or the disk refused.
    """
    if is_line(arguments):
        if arguments.birth:
            step = "Leave it out, or make the devices with --serial."
            raise OPTION_NOT_USED.error("a batch has none", option="--birth", next_step=step)
        make_line(arguments, console)
        return
    arguments.serials = arguments.given_serials
    station = Station(arguments.station, accounts=arguments.account)
    out: Path | None = arguments.out
    for device in station.make_each(
        OrderOptions.of(arguments),
        check_serials(arguments),
        lambda serial: out or _DEVICES / serial,
        again=arguments.again,
    ):
        _show(arguments, console, device)


def _show(arguments: argparse.Namespace, console: Console, device: MadeDevice) -> None:
    if arguments.json:
        console.show(device.as_fields())
        return
    for account, report in device.registered:
        console.say(*report_lines(account, report))
    made = "Made" if device.is_new else "There was already"
    console.say(
        *(f"Note: {words}" for words in device.retired),
        f"{made} {device.serial} in {device.state}: lifecycle SECURED, connects to "
        f"{device.endpoint}.",
        f"Next: device boot --state {shlex.quote(str(device.state))}",
    )
