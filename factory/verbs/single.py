"""``factory single``: devices, made and registered one by one."""

import argparse
import os
from pathlib import Path
from typing import Final

from factory.account.accounts import aws_accounts
from factory.console import Console
from factory.making.admission import Wanted
from factory.making.device_orders import (
    OrderOptions,
    config_name,
    device_orders,
    given_endpoint,
)
from factory.making.new_device import DeviceOrder
from factory.methods import single_thing
from factory.methods.prepared_account import check_endpoint_of
from factory.methods.production import Product, as_made, produce_by
from factory.methods.single_thing import RegisteredBy
from factory.verbs._options import (
    add_account,
    add_again,
    add_connection,
    add_serials,
    check_one_account,
    check_serials,
)

_DEVICES: Final = Path(".firstboot/devices")

SUMMARY: Final = "Make devices and register each in AWS: with one call, or step by step."


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of ``factory single``."""
    command.set_defaults(method=single_thing.METHOD)
    add_serials(command)
    command.add_argument(
        "--by", type=RegisteredBy, choices=list(RegisteredBy), default=RegisteredBy.REGISTER_THING,
        help="one call with a template, or several calls by hand; default: %(default)s",
    )  # fmt: skip
    command.add_argument(
        "--exclusive",
        action="store_true",
        help="the certificate cannot be attached to another thing",
    )
    command.add_argument(
        "--out", type=Path, metavar="DIR", help=f"the device's state folder; default: {_DEVICES}/SN"
    )
    add_again(command)
    add_account(command)
    add_connection(command)


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Make the devices and register them in AWS.

    Raises:
        StationError, StorageError: the cloud or the disk refused.
    """
    check_one_account(arguments)
    cloud = aws_accounts(arguments.account, os.environ)[0]
    options = OrderOptions.of(arguments)
    orders = device_orders(options, check_serials(arguments), cloud)
    check_endpoint_of(cloud, given_endpoint(options))

    def make(order: DeviceOrder, out: Path) -> Product:
        single_thing.make_registered(cloud, order, out, arguments.by, exclusive=arguments.exclusive)
        return as_made(order, out)

    for order in orders:
        out = arguments.out or _DEVICES / order.serial_number
        wanted = Wanted(order, out, again=arguments.again)
        product = produce_by(make, arguments.method, wanted, arguments.station, [cloud])
        _show(arguments, console, product, out, str(cloud.account))


def _show(
    arguments: argparse.Namespace, console: Console, product: Product, out: Path, account: str
) -> None:
    order, certificate_id = product.order, str(product.certificate_id)
    if arguments.json:
        retired = {"retired": list(product.retired)} if product.retired else {}
        console.show({
            "method": arguments.method, "serial": order.serial_number, "state": str(out),
            "endpoint": order.endpoint, "certificate_id": certificate_id, "by": arguments.by,
            "exclusive": arguments.exclusive, "lifecycle": "SECURED", **retired,
        })  # fmt: skip
        return
    config = arguments.config or Path("config", config_name(arguments.method))
    console.say(
        *(f"Note: {words}" for words in product.retired),
        f"Made {order.serial_number} in {out}, and registered it in {account}: certificate "
        f"{certificate_id[:12]}..., ACTIVE; lifecycle SECURED.",
        f"Next: device boot --config {config} --state {out}",
    )
