"""Options that several verbs have."""

import argparse
from pathlib import Path
from typing import Final

ROOTS: Final = "file, systemd-credential:NAME, tpm:TCTI, raspberry-pi-otp:KEY or a pkcs11: URI"
"""Roots of trust, as ``device.storage.roots.plan`` reads them."""


def add_account(command: argparse.ArgumentParser) -> None:
    """Add what tells in which account and Region the station works."""
    command.add_argument(
        "--account", action="append", default=[], metavar="WHO[:REGION]",
        help="a profile of the AWS configuration; may be given several times. On the local AWS: "
        "twelve digits. Default: the environment's",
    )  # fmt: skip


def add_connection(command: argparse.ArgumentParser) -> None:
    """Add what is told to each device that is made."""
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
        "--root-of-trust", metavar="ROOT", help=f"what its storage stands on: {ROOTS}; default: "
        "$DEVICE_ROOT_OF_TRUST, or file",
    )  # fmt: skip
