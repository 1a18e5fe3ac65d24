"""``device boot``: the first boot, or the next attempt at it."""

import argparse
from typing import Final

from device.verbs import Console
from device.verbs._online import (
    add_online_options,
    online_device,
    show_identity,
    stopped_by_signals,
)

SUMMARY: Final = "Provision the device until its identity is proven, then exit."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``device boot``."""
    add_online_options(parser)


def run(options: argparse.Namespace, console: Console) -> None:
    """Provision the device, and show its identity.

    Raises:
        FirstbootError: provisioning failed, or its time is up.
    """
    device = online_device(options, console)
    with stopped_by_signals(device):
        identity = device.boot()
    show_identity(identity, options, console)
