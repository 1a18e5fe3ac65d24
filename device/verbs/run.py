"""``device run``: boot, then do the device's work."""

import argparse
from typing import Final

from device.verbs import Console
from device.verbs._online import (
    add_online_options,
    online_device,
    show_identity,
    stopped_by_signals,
    tell,
)

SUMMARY: Final = "Boot, then operate the device until it is stopped."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``device run``."""
    add_online_options(parser)


def run(options: argparse.Namespace, console: Console) -> None:
    """Boot and operate until a signal stops it; a job or a command may start it anew.

    Raises:
        FirstbootError: provisioning or operation failed.
    """
    device = online_device(options, console)
    with stopped_by_signals(device) as stop:
        device.run(on_proven=lambda identity: show_identity(identity, options, console))
    words = f"stopped by {stop.signal_name or 'request'}; what was reached is kept, run it again"
    tell(words, options, console, "stopped")
    console.show({"stopped": stop.signal_name})
