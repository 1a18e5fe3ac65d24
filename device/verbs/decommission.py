"""``device decommission``: the end of a device's life; nothing brings it back."""

import argparse
from typing import Final

from device.api import Device
from device.errors.storage import StorageError
from device.verbs import Console
from device.verbs._options import add_config, device_of

SUMMARY: Final = "End the device's life for good: destroy every key, in a secure element too."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``device decommission``."""
    add_config(parser)
    parser.add_argument(
        "--element-is-lost",
        action="store_true",
        help="the secure element is gone: do not try to destroy the keys in it",
    )


def run(options: argparse.Namespace, console: Console) -> None:
    """Decommission the device, or what is left of it after a cut.

    Raises:
        ElementError: the secure element cannot be used; nothing was destroyed.
        StorageError: the storage is missing, busy, corrupt or rolled back.
    """
    device = device_of(options)
    serial = _serial_number(device)  # it goes with the rest
    was_alive = device.decommission(element_is_lost=options.element_is_lost)
    words = "every key is destroyed" if was_alive else "it was decommissioned before"
    console.say(f"decommissioned: {words}", f"in the cloud: factory retire --serial {serial}")
    console.show({"decommissioned": True, "lifecycle": "DECOMMISSIONED"})


def _serial_number(device: Device) -> str:
    try:
        return device.serial
    except StorageError:
        return "SERIAL"  # decommissioned before, or cut while it was
