"""``factory retire``: a device that is gone loses its certificates, its thing's and its own."""

import argparse
from pathlib import Path

from factory.api import Station
from factory.methods.products import RetiredDevice
from factory.verbs import Console
from factory.verbs._options import add_account, add_serials, check_each_once

SUMMARY = "Retire devices: turn off and detach their certificates, and note it in the ledger."


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of ``factory retire``."""
    add_serials(command)
    command.add_argument(
        "--delete-thing", action="store_true",
        help="also delete the thing; default: keep it, without a certificate",
    )  # fmt: skip
    command.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="the device's settings, for the name of its thing; default: the method's",
    )
    add_account(command)


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Retire each device in each account, then enter it in the ledger as retired.

    Raises:
        SerialNumberUnknownError: the ledger has no such device; nothing was changed.
        RegisteredElsewhereError: the device is registered in accounts that were not named.
        StationError, StorageError: the cloud or the disk refused.
    """
    station = Station(arguments.station, accounts=arguments.account)
    for device in station.retire_each(
        check_each_once(arguments.serials),
        delete_thing=arguments.delete_thing,
        config=arguments.config,
    ):
        _show(arguments, console, device)


def _show(arguments: argparse.Namespace, console: Console, device: RetiredDevice) -> None:
    if arguments.json:
        console.show(device.as_fields())
        return
    for each in device.accounts:
        console.say(*(f"{device.serial}: {words}" for words in each.words))
        if each.thing is not None:
            console.say(f"thing {device.thing}: {each.thing.outcome} {each.thing.note}".rstrip())
    console.say(f"Retired {device.serial} (device {device.device_id[:8]}...).")
