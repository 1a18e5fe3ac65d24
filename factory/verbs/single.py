"""``factory single``: devices, made and registered one by one."""

import argparse
import shlex
from pathlib import Path
from typing import Final

from factory.api import Station
from factory.making.device_orders import OrderOptions
from factory.methods import single_thing
from factory.methods.products import MadeDevice
from factory.methods.single_thing import RegisteredBy
from factory.verbs import Console
from factory.verbs._options import (
    add_account,
    add_again,
    add_birth,
    add_connection,
    add_serials,
    check_one_account,
    check_serials,
)

_DEVICES: Final = Path(".firstboot/devices")

SUMMARY: Final = "Make devices and register each one in AWS: with one call, or step by step."


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of ``factory single``."""
    command.set_defaults(method=single_thing.METHOD)
    add_serials(command)
    command.add_argument(
        "--by", type=RegisteredBy, choices=list(RegisteredBy), default=RegisteredBy.REGISTER_THING,
        help="one call with a template, or several calls by hand; default: %(default)s",
    )  # fmt: skip
    command.add_argument(
        "--exclusive", action=argparse.BooleanOptionalAction, default=True,
        help="the certificate can belong to no other thing; default: --exclusive",
    )  # fmt: skip
    command.add_argument(
        "--out", type=Path, metavar="DIR", help=f"the device's state folder; default: {_DEVICES}/SN"
    )
    add_birth(command)
    add_again(command)
    add_account(command)
    add_connection(command)


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Make the devices and register them in AWS.

    Raises:
        StationError, StorageError: the cloud or the disk refused.
    """
    check_one_account(arguments)
    station = Station(arguments.station, accounts=arguments.account)
    out: Path | None = arguments.out
    for device in station.single_each(
        OrderOptions.of(arguments),
        check_serials(arguments),
        lambda serial: out or _DEVICES / serial,
        by=arguments.by,
        exclusive=arguments.exclusive,
        again=arguments.again,
    ):
        _show(arguments, console, device, str(station.clouds[0].account))


def _show(
    arguments: argparse.Namespace, console: Console, device: MadeDevice, account: str
) -> None:
    certificate_id = str(device.certificate_id)
    if arguments.json:
        retired = {"retired": list(device.retired)} if device.retired else {}
        console.show({
            "method": device.method, "serial": device.serial, "state": str(device.state),
            "endpoint": device.endpoint, "certificate_id": certificate_id, "by": arguments.by,
            "exclusive": arguments.exclusive, "lifecycle": "SECURED", **retired,
        })  # fmt: skip
        return
    console.say(
        *(f"Note: {words}" for words in device.retired),
        f"Made {device.serial} in {device.state}, and registered it in {account}: certificate "
        f"{certificate_id[:12]}..., ACTIVE; lifecycle SECURED.",
        f"Next: device boot --state {shlex.quote(str(device.state))}",
    )
