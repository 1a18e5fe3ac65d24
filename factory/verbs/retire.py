"""``factory retire``: a device that is gone loses its certificates, its thing's and its own."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from factory.account.accounts import aws_accounts
from factory.account.documents import CONFIG
from factory.console import Console
from factory.making.device_orders import config_name
from factory.making.device_settings import thing_name
from factory.making.new_device import DeviceOrder
from factory.making.retirement import Retired, devices_of, enter_retired, retire_for_good
from factory.station.ledger import Entry, Ledger
from factory.verbs._options import add_account, add_serials, check_each_once

SUMMARY = "Retire devices: certificates INACTIVE and detached, and the ledger says so."


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of ``factory retire``."""
    add_serials(command)
    command.add_argument(
        "--delete-thing", action="store_true",
        help="delete the thing, too; default: keep it, without a certificate",
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
    clouds, ledger = aws_accounts(arguments.account, os.environ), Ledger(arguments.station)
    entries = ledger.entries()
    wanted = [devices_of(entries, each) for each in check_each_once(arguments.serials)]
    for devices in wanted:
        for device in devices:
            thing = thing_name(_order(device, arguments.config))
            done = retire_for_good(device, thing, clouds, delete_thing=arguments.delete_thing)
            enter_retired(ledger, device, "; ".join(w for each in done for w in each.words))
            _show(arguments, console, device, thing, done)


def _order(device: Entry, config: Path | None) -> DeviceOrder:
    return DeviceOrder(
        device.serial_number, device.device_id, "", b"",
        config or CONFIG / config_name(device.method), environment=dict(os.environ),
    )  # fmt: skip


def _show(
    arguments: argparse.Namespace, console: Console, device: Entry, thing: str,
    done: Sequence[Retired],
) -> None:  # fmt: skip
    if arguments.json:
        console.show({
            "serial": device.serial_number, "device_id": device.device_id, "thing": thing,
            "result": "retired", "accounts": [each.as_fields() for each in done],
        })  # fmt: skip
        return
    for each in done:
        console.say(*(f"{device.serial_number}: {words}" for words in each.words))
        if each.thing is not None:
            console.say(f"thing {thing}: {each.thing.outcome} {each.thing.note}".rstrip())
    console.say(f"Retired {device.serial_number} (device {device.device_id[:8]}...).")
