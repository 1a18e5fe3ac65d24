"""``localcloud logs``: the last lines of the server's log."""

import argparse
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from localcloud.errors import STATE_FOLDER
from localcloud.process.state_folder import StateFolder
from localcloud.verbs import Console

SUMMARY: Final = "Print the last lines of the server's log."
_POLL_SECONDS: Final = 0.2


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``localcloud logs``."""
    parser.add_argument(
        "--lines", type=_count, default=40, metavar="N", help="default: %(default)s"
    )
    parser.add_argument(
        "--follow", action="store_true", help="continue until Ctrl-C or until the server stops"
    )


def run(options: argparse.Namespace, folder: StateFolder, console: Console) -> None:
    """Print the log; it starts again with each start in the background."""
    try:
        with folder.log.open(errors="replace") as log:
            for line in log.read().splitlines()[-options.lines :]:
                console.show({"line": line}, line)
            for line in _more(log, folder) if options.follow else ():
                console.show({"line": line}, line)
    except FileNotFoundError:
        raise STATE_FOLDER.error("it holds no log of a local AWS", path=folder.path) from None


def _more(log: Iterator[str], folder: StateFolder) -> Iterator[str]:
    with suppress(KeyboardInterrupt):
        while folder.server():
            yield from (line.rstrip("\n") for line in log)
            time.sleep(_POLL_SECONDS)


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of lines")
    return int(text)
