"""``device run``: boot, then do the device's work."""

import argparse
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from device.console import Console
from device.errors.provisioning import StoppedError
from device.verbs._online import add_online_options, show_identity, start, tell

if TYPE_CHECKING:
    from device.startup import StartedDevice, Stop

SUMMARY: Final = "Boot, then operate until stopped."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``device run``."""
    add_online_options(parser)


def run(options: argparse.Namespace, console: Console) -> None:
    """Boot and operate until a signal stops it; a job or a command may start it anew.

    Raises:
        FirstbootError: provisioning or operation failed.
    """
    before: Stop | None = None
    while True:
        with start(options, console) as device:
            # A signal between two starts was heard by the device before.
            is_stopped = before is not None and before.signal_name is not None
            before = before if before is not None and is_stopped else device.stop
            is_over = is_stopped or not _lives_again(device, options, console)
        if is_over or before.signal_name is not None:
            break
    words = f"stopped by {before.signal_name or 'request'}; what was reached is kept, run it again"
    tell(words, options, console)
    console.show({"stopped": before.signal_name})


def _lives_again(device: "StartedDevice", options: argparse.Namespace, console: Console) -> bool:
    """Boot and operate; return whether the device is to start anew."""
    with suppress(StoppedError):
        device.agent.boot_until_proven()
        show_identity(device.agent, options, console)
        ending = device.agent.operate()
        if ending.starts_anew:
            tell(f"the device is {ending.value}", options, console)
            console.show({"restart": ending.value})
        return ending.starts_anew
    return False
