"""``device reset``: forget what happened since the station, or who the device was."""

import argparse
from typing import Final

from device.verbs import Console
from device.verbs._options import device_of

SUMMARY: Final = "Return the device to the state in which the station delivered it."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``device reset``."""
    parser.add_argument(
        "--forget-identity",
        action="store_true",
        help="destroy the key and the certificate of a proven device too; afterwards only the "
        "station can provision it",
    )


def run(options: argparse.Namespace, console: Console) -> None:
    """Reset the device, and say whether anything changed.

    Raises:
        StorageError: the storage is missing, busy, corrupt or rolled back.
    """
    changed = device_of(options).reset(forget_identity=options.forget_identity)
    console.say("reset: the next boot is a first boot" if changed else "reset: nothing to undo")
    console.show({"reset": changed})
