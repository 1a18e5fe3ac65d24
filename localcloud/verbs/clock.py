"""``localcloud clock``: the cloud's clock, and how to advance it."""

import argparse
import re
from typing import Final

from localcloud.errors import CLOCK
from localcloud.process import lifecycle
from localcloud.process.state_folder import StateFolder
from localcloud.verbs import Console

SUMMARY: Final = "Show the cloud's clock, or advance it."
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_CANNOT_MOVE: Final = (
    "Not moved: TLS, which judges certificates by this machine's clock; signatures; STS sessions; "
    "S3, Lambda and DynamoDB; timers that count seconds, such as MQTT's keep-alive."
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``localcloud clock``."""
    parser.add_argument("action", nargs="?", choices=("show", "advance"), default="show")
    parser.add_argument(
        "by",
        nargs="?",
        type=duration,
        metavar="DURATION",
        help="how far to advance it, such as 90d: a number with the unit s, m, h, d or w",
    )


def run(options: argparse.Namespace, folder: StateFolder, console: Console) -> None:
    """Show the clock, after it was advanced if that was asked for."""
    if (options.action == "advance") != (options.by is not None):
        raise CLOCK.error("advance needs a duration, such as 90d; show takes none")
    if options.action == "advance":
        asked = {"advance_seconds": options.by}
        answer = lifecycle.call(folder, "POST", "clock", asked)
        console.say(_CANNOT_MOVE)
    else:
        answer = lifecycle.call(folder, "GET", "clock")
    match answer:
        case {"now": str(now), "ahead_seconds": ahead}:
            console.show(answer, f"{now}  ({ahead:.0f} s ahead)")
        case _:
            console.show(answer)


def duration(text: str) -> float:
    """Return the seconds of ``text`` such as ``90d``.

    Raises:
        ArgumentTypeError: it is no number with a unit.
    """
    found = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]+)?)([smhdw])", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration such as 90d or 15m")
    return float(found[1]) * _UNITS[found[2]]
