"""``device run``: boot, then do the device's work."""

import argparse
from contextlib import suppress
from typing import Final

from device.console import Console
from device.errors.provisioning import StoppedError
from device.verbs._online import add_online_options, show_identity, start, tell

SUMMARY: Final = "Boot, then operate until stopped."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``device run``."""
    add_online_options(parser)


def run(options: argparse.Namespace, console: Console) -> None:
    """Boot and operate until a signal stops it.

    Raises:
        FirstbootError: provisioning or operation failed.
    """
    with start(options, console) as device:
        with suppress(StoppedError):
            device.agent.boot_until_proven()
            show_identity(device.agent, options, console)
            device.agent.operate()
        signal_name = device.stop.signal_name
        words = f"stopped by {signal_name or 'request'}; what was reached is kept, run it again"
        tell(words, options, console, "stopped")
        console.show({"stopped": signal_name})
