"""``localcloud wire``: what devices and the broker said to each other, lately."""

import argparse
from typing import Final

from localcloud.process import lifecycle
from localcloud.process.state_folder import StateFolder
from localcloud.verbs import Console
from localcloud.wire.line import colour_of, line_of, numbered_events

SUMMARY: Final = "Print the latest packets of all MQTT connections."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``localcloud wire``."""
    parser.add_argument("--clear", action="store_true", help="forget the packets so far")


def run(options: argparse.Namespace, folder: StateFolder, console: Console) -> None:
    """Print the events, the oldest first, or forget them."""
    if options.clear:
        lifecycle.call(folder, "DELETE", "wire")
        console.show({"cleared": True})
        return
    for event in numbered_events(lifecycle.call(folder, "GET", "wire")):
        console.show(event, line_of(event), colour=colour_of(event))
