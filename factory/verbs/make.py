"""``factory make``: devices, and what the cloud must know of each."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from factory.account.accounts import aws_accounts
from factory.console import Console
from factory.errors import OptionNotUsedError
from factory.making.admission import Wanted
from factory.making.device_orders import device_orders, given_endpoint, with_settings_file
from factory.making.new_device import DeviceOrder
from factory.methods import METHODS
from factory.methods.prepared_account import check_endpoint_of, check_prepared
from factory.methods.production import Product, produce
from factory.station.station import Station, open_station
from factory.verbs._options import (
    add_again,
    add_connection,
    add_method,
    add_serials,
    check_serials,
)
from factory.verbs._report_text import report_fields, report_lines

_DEVICES: Final = Path(".firstboot/devices")
_HOOKED: Final = "claim-hook.yaml"
"""The settings of a device that proves itself to the claim's hook."""

SUMMARY: Final = "Make devices: fuses, identity, credentials, lifecycle SECURED."


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of ``factory make``."""
    add_method(command, required=True)
    add_serials(command)
    command.add_argument(
        "--out", type=Path, metavar="DIR", help=f"the device's state folder; default: {_DEVICES}/SN"
    )
    command.add_argument(
        "--not-allowed", dest="allowed", action="store_false",
        help="do not add the device to the cloud's allow list, to see it refused (jitr, "
        "multi-account, claim with a hook)",
    )  # fmt: skip
    command.add_argument("--device-id", metavar="HEX", help="16 bytes; default: random")
    add_again(command)
    add_connection(command)


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Make the devices, one after the other, when all that was ordered has been checked.

    Raises:
        StationError, StorageError: the cloud or the disk refused.
    """
    method, clouds = arguments.method, aws_accounts(arguments.account, os.environ)
    serial_numbers = check_serials(arguments)
    _check_accounts(method, arguments.account)
    orders = device_orders(arguments, serial_numbers, clouds[0])
    with open_station(arguments.station, read_only=True) as station:
        _check_not_allowed(arguments, station)
        check_prepared(station, method, clouds, given_endpoint(arguments))
        if METHODS[method].is_made_online:
            check_endpoint_of(clouds[0], given_endpoint(arguments))
        if _is_hooked(method, station) and not arguments.config:
            orders = with_settings_file(orders, _HOOKED, method)
        for order in orders:
            out = arguments.out or _DEVICES / order.serial_number
            wanted = Wanted(order, out, again=arguments.again)
            product = produce(method, wanted, station, clouds)
            _show(arguments, console, product, out)


def _check_accounts(method: str, accounts: Sequence[str]) -> None:
    if len(accounts) > 1 and not METHODS[method].is_registering:
        raise OptionNotUsedError(
            "--account", f"method {method} makes a device for one account",
            "Give --account once. For several: --method multi-account.",
        )  # fmt: skip


def _check_not_allowed(arguments: argparse.Namespace, station: Station) -> None:
    method = arguments.method
    can_be_left_out = METHODS[method].is_registering or _is_hooked(method, station)
    if not arguments.allowed and not can_be_left_out:
        raise OptionNotUsedError(
            "--not-allowed", f"method {method} has no allow-list in the cloud",
            "Leave it out. jitr, multi-account and claim with a hook have such a list.",
        )  # fmt: skip


def _is_hooked(method: str, station: Station) -> bool:
    return "--hook" in METHODS[method].options and station.asks_for_proof


def _show(arguments: argparse.Namespace, console: Console, product: Product, out: Path) -> None:
    if arguments.json:
        console.show(_fields(arguments.method, product, out))
        return
    for account, report in product.registered:
        console.say(*report_lines(account, report))
    made = "Made" if product.is_new else "There was already"
    console.say(
        *(f"Note: {words}" for words in product.retired),
        f"{made} {product.order.serial_number} in {out}: lifecycle SECURED, connects to "
        f"{product.order.endpoint}.",
        f"Next: device boot --state {out}",
    )


def _fields(method: str, product: Product, out: Path) -> dict[str, object]:
    order: DeviceOrder = product.order
    fields: dict[str, object] = {
        "method": method, "serial": order.serial_number, "device_id": order.device_id,
        "state": str(out), "endpoint": order.endpoint, "lifecycle": "SECURED",
    }  # fmt: skip
    if product.registered:
        fields["registered"] = [report_fields(*each) for each in product.registered]
    if product.retired:
        fields["retired"] = list(product.retired)
    return fields
