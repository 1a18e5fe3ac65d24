"""``localcloud watch``: the wire as it happens, a line a packet, or as a page in a browser."""

import argparse
import time
from contextlib import suppress
from functools import partial
from typing import Final

from localcloud.errors import NoAnswerError, NotRunningError
from localcloud.page.feed import Feed
from localcloud.page.server import serving
from localcloud.process import lifecycle
from localcloud.process.state_folder import StateFolder
from localcloud.verbs import Console
from localcloud.wire.line import Event, colour_of, line_of, numbered_events

SUMMARY: Final = "Follow the packets of all MQTT connections until Ctrl-C."
_POLL_SECONDS: Final = 0.2


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``localcloud watch``."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--client-id", metavar="ID", help="show one client only")
    which.add_argument(
        "--web", action="store_true", help="show them on a page in a browser; print its address"
    )


def run(options: argparse.Namespace, folder: StateFolder, console: Console) -> None:
    """Show each event once, until it is stopped or, without the page, the local AWS is."""
    if options.web:
        _serve_page(folder, console)
    else:
        _print(options.client_id, folder, console)


def _print(client_id: str | None, folder: StateFolder, console: Console) -> None:
    seen = max((each["number"] for each in _events(folder, 0)), default=0)
    console.say(f"Watching {folder.path}; Ctrl-C ends it.")
    with suppress(KeyboardInterrupt, NotRunningError):
        while True:
            for event in _events(folder, seen):
                seen = event["number"]
                if client_id in {None, event.get("client_id")}:
                    console.show(event, line_of(event), colour=colour_of(event))
            time.sleep(_POLL_SECONDS)


def _serve_page(folder: StateFolder, console: Console) -> None:
    """Serve until Ctrl-C: the local AWS may be stopped and started meanwhile."""
    if folder.server() is None:
        raise NotRunningError(path=folder.path)
    with serving(Feed(partial(_happened, folder))) as (server, address):
        console.say("Open this address; whoever has it can see the page. Ctrl-C ends it.")
        console.show({"address": address}, address)
        with suppress(KeyboardInterrupt):
            server.serve_forever()


def _happened(folder: StateFolder, after: int) -> object:
    return lifecycle.call(folder, "GET", f"watch/{after}")


def _events(folder: StateFolder, after: int) -> list[Event]:
    try:
        return numbered_events(lifecycle.call(folder, "GET", f"wire/after/{after}"))
    except NoAnswerError:
        if folder.server() is None:
            raise NotRunningError(path=folder.path) from None
        raise
