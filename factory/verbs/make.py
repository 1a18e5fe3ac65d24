"""``factory make``: one device, and what the cloud must know of it."""

import argparse
import os
from pathlib import Path
from typing import Final

from factory.accounts import aws_accounts
from factory.console import Console
from factory.device_orders import config_name, device_order
from factory.methods import METHODS
from factory.options import add_connection
from factory.production import Product, produce
from factory.report_text import report_fields, report_lines
from factory.serial_number import check_serial_number
from factory.station import open_station

_DEVICES: Final = Path(".firstboot/devices")
_HOOKED: Final = "claim-hook.yaml"
"""The settings of a device that proves itself to the claim's hook."""


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of ``factory make`` beside the method's."""
    command.add_argument("--serial", required=True, metavar="SN", help="serial number")
    command.add_argument(
        "--out", type=Path, metavar="DIR", help=f"the device's state folder; default: {_DEVICES}/SN"
    )
    command.add_argument(
        "--not-allowed", dest="allowed", action="store_false",
        help="jitr: leave it off the allow-list, to see what happens",
    )  # fmt: skip
    command.add_argument("--device-id", metavar="HEX", help="16 bytes; default: random")
    add_connection(command)


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Make the device.

    Raises:
        StationError, StorageError: the cloud or the disk refused.
    """
    clouds = aws_accounts(arguments.account, os.environ)
    order = device_order(arguments, check_serial_number(arguments.serial), clouds[0])
    out = arguments.out or _DEVICES / order.serial_number
    with open_station(arguments.station, read_only=True) as station:
        product = produce(METHODS[arguments.method], order, out, station, clouds)
        is_hooked = station.asks_for_proof and arguments.method.startswith("claim")
    if arguments.json:
        console.put(**_fields(arguments.method, product, out))
        return
    for account, report in product.registered:
        console.say(*report_lines(account, report))
    made = "Made" if product.is_new else "There was already"
    name = _HOOKED if is_hooked else config_name(arguments.method)
    console.say(
        f"{made} {product.order.serial_number} in {out}: lifecycle SECURED, connects to "
        f"{product.order.endpoint}.",
        f"Next: device boot --config {arguments.config or Path('config', name)} --state {out}",
    )


def _fields(method: str, product: Product, out: Path) -> dict[str, object]:
    order = product.order
    fields: dict[str, object] = {
        "method": method, "serial": order.serial_number, "device_id": order.device_id,
        "state": str(out), "endpoint": order.endpoint, "lifecycle": "SECURED",
    }  # fmt: skip
    if product.registered:
        fields["registered"] = [report_fields(*each) for each in product.registered]
    return fields
