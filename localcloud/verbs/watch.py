"""``localcloud watch``: the wire as it happens, a line a packet."""

import argparse
import time
from contextlib import suppress
from typing import Final

from localcloud import lifecycle
from localcloud.console import Console
from localcloud.errors import NoAnswerError, NotRunningError
from localcloud.state_folder import StateFolder
from localcloud.wire.line import line_of, numbered_events

SUMMARY: Final = "Follow the packets of all MQTT connections until Ctrl-C."
_POLL_SECONDS: Final = 0.2


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``localcloud watch``."""
    parser.add_argument("--client-id", metavar="ID", help="show one client only")


def run(options: argparse.Namespace, folder: StateFolder, console: Console) -> None:
    """Print each event once, from now on, until it is stopped or the local AWS is."""
    seen = max((each["number"] for each in _events(folder, 0)), default=0)
    console.say(f"Watching {folder.path}; Ctrl-C ends it.")
    with suppress(KeyboardInterrupt, NotRunningError):
        while True:
            for event in _events(folder, seen):
                seen = event["number"]
                if options.client_id in {None, event.get("client_id")}:
                    console.show(event, line_of(event, is_colourful=console.is_colourful))
            time.sleep(_POLL_SECONDS)


def _events(folder: StateFolder, after: int) -> list[dict[str, int]]:
    try:
        return numbered_events(lifecycle.call(folder, "GET", f"wire/after/{after}"))
    except NoAnswerError:
        if folder.server() is None:
            raise NotRunningError(path=folder.path) from None
        raise
