"""``device boot``: the first boot, or the next attempt at it."""

import argparse
from typing import Final

from device.console import Console
from device.verbs._online import add_online_options, show_identity, start

SUMMARY: Final = "Provision the device until its identity is proven, then exit."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``device boot``."""
    add_online_options(parser)


def run(options: argparse.Namespace, console: Console) -> None:
    """Provision the device, and show its identity.

    Raises:
        FirstbootError: provisioning failed, or its time is up.
    """
    with start(options, console) as device:
        device.agent.boot(device.patience)
        device.agent.session.close()
        show_identity(device.agent, options, console)
