"""``factory single``: one device, made and registered."""

import argparse
import os
from pathlib import Path
from typing import Final

from factory.accounts import aws_accounts
from factory.console import Console
from factory.device_orders import config_name, device_order
from factory.methods import single_thing
from factory.methods.single_thing import Way
from factory.options import add_account, add_connection
from factory.serial_number import check_serial_number

_DEVICES: Final = Path(".firstboot/devices")


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of ``factory single``."""
    command.set_defaults(method=single_thing.METHOD)
    command.add_argument("--serial", required=True, metavar="SN", help="serial number")
    command.add_argument(
        "--by", type=Way, choices=list(Way), default=Way.REGISTER_THING,
        help="one call with a template, or call by call; default: %(default)s",
    )  # fmt: skip
    command.add_argument(
        "--exclusive", action="store_true", help="the certificate may belong to no other thing"
    )
    command.add_argument(
        "--out", type=Path, metavar="DIR", help=f"the device's state folder; default: {_DEVICES}/SN"
    )
    add_account(command)
    add_connection(command)


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Make the device and register it in AWS.

    Raises:
        StationError, StorageError: the cloud or the disk refused.
    """
    cloud = aws_accounts(arguments.account, os.environ)[0]
    order = device_order(arguments, check_serial_number(arguments.serial), cloud)
    out = arguments.out or _DEVICES / order.serial_number
    certificate_id = single_thing.make_registered(
        cloud, order, out, arguments.by, exclusive=arguments.exclusive
    )
    if arguments.json:
        console.put(
            method=arguments.method, serial=order.serial_number, state=str(out),
            endpoint=order.endpoint, certificate_id=certificate_id, by=arguments.by,
            exclusive=arguments.exclusive, lifecycle="SECURED",
        )  # fmt: skip
        return
    config = arguments.config or Path("config", config_name(arguments.method))
    console.say(
        f"Made {order.serial_number} in {out}, and registered it in {cloud.account}: certificate "
        f"{certificate_id[:12]}..., ACTIVE; lifecycle SECURED.",
        f"Next: device boot --config {config} --state {out}",
    )
