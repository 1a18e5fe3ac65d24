"""Options that several verbs have."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from factory.errors import OPTION_NOT_USED
from factory.methods import METHODS
from factory.station.serial_number import check_serial_number

ROOTS: Final = "file, systemd-credential:NAME, tpm:TCTI, raspberry-pi-otp:KEY or a pkcs11: URI"
"""Roots of trust, as ``device.storage.roots.root_plan`` reads them."""


def whole(first: int, last: int, what: str) -> Callable[[str], int]:
    """Return the type of an option that takes a whole number of ``what``, within limits."""

    def number(text: str) -> int:
        digits = text if text.isascii() and text.isdecimal() and len(text) < 20 else "-1"
        if not first <= int(digits) <= last:
            raise argparse.ArgumentTypeError(f"{text!r} is not {first} to {last} {what}")
        return int(digits)

    return number


def add_method(command: argparse.ArgumentParser, *, required: bool) -> None:
    """Add ``--method`` and ``--account``."""
    default = "" if required else "; default: all of them"
    words = f"provisioning method: {', '.join(METHODS)}{default}"
    command.add_argument(
        "--method", required=required, choices=METHODS, metavar="METHOD", help=words
    )
    add_account(command)


def add_account(command: argparse.ArgumentParser) -> None:
    """Add ``--account``: the accounts and Regions to work in."""
    command.add_argument(
        "--account", action="append", default=[], metavar="WHO[:REGION]",
        help="an AWS profile; may be given several times. On the local AWS: twelve digits. "
        "Default: from the environment",
    )  # fmt: skip


def add_connection(command: argparse.ArgumentParser) -> None:
    """Add what is installed in each device: settings, keys, endpoint, CAs, root of trust."""
    command.add_argument(
        "--config", type=Path, metavar="FILE", help="the device's settings; default: the method's"
    )
    command.add_argument(
        "--element", default="", metavar="URI",
        help="make the device's key in a secure element: pkcs11:token=...?module-path=...&"
        "pin-source=..., in which {serial} is filled in; or softhsm: a test token for each device",
    )  # fmt: skip
    command.add_argument(
        "--endpoint", metavar="HOST:PORT", help="default: $DEVICE_ENDPOINT, or ask AWS"
    )
    command.add_argument(
        "--root-ca", type=Path, metavar="FILE", help="default: $DEVICE_ROOT_CA, or Amazon's roots"
    )
    command.add_argument(
        "--root-of-trust", metavar="ROOT", help=f"root of trust of the device's storage: {ROOTS}; "
        "default: $DEVICE_ROOT_OF_TRUST, or file",
    )  # fmt: skip


def add_serials(command: argparse.ArgumentParser) -> None:
    """Add ``--serial``, which names the devices."""
    command.add_argument(
        "--serial", dest="serials", action="append", required=True, metavar="SN",
        help="serial number; may be given several times",
    )  # fmt: skip


def add_again(command: argparse.ArgumentParser) -> None:
    """Add ``--again``, which replaces a device on purpose."""
    command.add_argument(
        "--again", action="store_true",
        help="replace the device with this serial number and turn off its certificate",
    )  # fmt: skip


def add_birth(command: argparse.ArgumentParser) -> None:
    """Add ``--birth``, which lets a device come back."""
    command.add_argument(
        "--birth", action="store_true",
        help="also install a birth certificate, with which the device can come back after its "
        "certificate expired or was set INACTIVE (prepare --recovery)",
    )  # fmt: skip


def check_serials(arguments: argparse.Namespace) -> list[str]:
    """Return the serial numbers that were given, if a device can be made for each.

    Raises:
        SerialNumberError: one cannot be a serial number.
        OptionNotUsedError: one is given twice, or another option is for a single device.
    """
    given = check_each_once(arguments.serials)
    for option, value in (("--out", arguments.out), ("--device-id", _device_id(arguments))):
        if len(given) > 1 and value is not None:
            problem = f"it is for one device, but {len(given)} were ordered"
            raise OPTION_NOT_USED.error(
                problem, option=option, next_step="Leave it out, or make them one by one."
            )
    return given


def check_each_once(serial_numbers: Sequence[str]) -> list[str]:
    """Return the serial numbers that were given.

    Raises:
        SerialNumberError: one cannot be a serial number.
        OptionNotUsedError: one is given twice.
    """
    given = [check_serial_number(each) for each in serial_numbers]
    for each in given:
        if given.count(each) > 1:
            step = "Give each serial number once."
            raise OPTION_NOT_USED.error(f"{each} is given twice", option="--serial", next_step=step)
    return given


def check_one_account(arguments: argparse.Namespace) -> None:
    """Refuse more accounts than one, where a verb works in one.

    Raises:
        OptionNotUsedError: there are.
    """
    if len(arguments.account) > 1:
        problem = f"this verb works in one account, but {len(arguments.account)} were given"
        raise OPTION_NOT_USED.error(
            problem, option="--account", next_step="Run the command once for each account."
        )


def _device_id(arguments: argparse.Namespace) -> str | None:
    return getattr(arguments, "device_id", None)
