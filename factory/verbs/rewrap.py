"""``factory rewrap``: a finished device, moved to another root of trust."""

import argparse
import shlex
from pathlib import Path
from typing import Final

from device.storage.roots.root_plan import parse_plan
from factory.making.rewrap import rewrap_device_storage
from factory.verbs import Console
from factory.verbs._options import ROOTS

SUMMARY: Final = "Move a device's storage to another root of trust, completely or not at all."


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of ``factory rewrap``."""
    command.add_argument(
        "--state", type=Path, required=True, metavar="DIR", help="the device's state folder"
    )
    command.add_argument("--to", required=True, metavar="ROOT", help=ROOTS)


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Move the device.

    Raises:
        ConfigurationError: there is no such root of trust.
        StorageError, ElementError: see ``rewrap_device_storage``.
    """
    state, to = arguments.state, parse_plan(arguments.to, "--to")
    was = rewrap_device_storage(state, to)
    if arguments.json:
        console.show({"state": str(state), "was": was, "root_of_trust": to.kind})
        return
    command = f"device status --state {shlex.quote(str(state))}"
    console.say(
        f"Moved {state} from {was} to {to.kind}.",
        f"Next: {command} shows what it is protected against now.",
    )
