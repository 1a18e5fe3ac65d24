"""From nothing to a proven, publishing device, on this machine alone.

The demo types the commands that a person would type, and shows each. What it leaves in
.firstboot is a local AWS that still runs, a station, and one more device each time.
"""

import argparse
import json
import sys
from typing import TYPE_CHECKING, Final, NoReturn

from scripts.demonstration.methods import METHODS, Method

if TYPE_CHECKING:
    from scripts.demonstration.commands import CommandFailedError
    from scripts.demonstration.comparison import Row
    from scripts.demonstration.performance import Proven
    from scripts.demonstration.story import Story

_ALL: Final = "all"
_FAILED: Final = 1


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; return 0 if all of it happened, else the exit code of what failed."""
    options = _options(arguments)
    # --help is answered before there is a .venv; the rest needs what is in it.
    from scripts.demonstration.story import Story  # noqa: PLC0415

    story = Story(sys.stderr if options.json else sys.stdout)
    try:
        if options.method == _ALL:
            return _all(story, options.element, as_json=options.json)
        return _one(METHODS[options.method], story, options.element, as_json=options.json)
    except KeyboardInterrupt:
        story.stopped()
        return _FAILED


def _one(method: Method, story: "Story", element: str, *, as_json: bool) -> int:
    from scripts.demonstration.performance import next_commands  # noqa: PLC0415

    proven, failure = _attempt(method, story, element)
    if proven is None:
        if as_json:
            _put(_failed(method, failure))
        return failure.exit_code if failure else _FAILED
    story.try_next(next_commands(proven))
    if as_json:
        _put(proven.as_fields())
    return 0


def _all(story: "Story", element: str, *, as_json: bool) -> int:
    """Show each method, whatever became of the ones before; the first failure's code counts.

    With an ``element``, the methods whose key the device makes.
    """
    from scripts.demonstration.comparison import table  # noqa: PLC0415

    rows, exit_codes = [], []
    shown = [each for each in METHODS.values() if each.makes_its_key or not element]
    for method in shown:
        proven, failure = _attempt(method, story, element)
        exit_codes.append(failure.exit_code if failure else 0)
        rows.append(_row(method, proven, exit_codes[-1]))
        if as_json:
            _put(proven.as_fields() if proven else _failed(method, failure))
    story.comparison(table(rows))
    if as_json:
        _put({"methods": [row.as_fields() for row in rows]})
    return next(filter(None, exit_codes), 0)


def _attempt(
    method: Method, story: "Story", element: str
) -> tuple["Proven | None", "CommandFailedError | None"]:
    from scripts.demonstration.commands import CommandFailedError, Commands  # noqa: PLC0415
    from scripts.demonstration.performance import Performance  # noqa: PLC0415

    try:
        return Performance(method, Commands(story), story, element).show(), None
    except CommandFailedError as error:
        failure = error
    except OSError as error:
        failure = CommandFailedError("scripts/demo", str(error), _FAILED)
    story.failed(failure)
    return None, failure


def _failed(method: Method, failure: "CommandFailedError | None") -> dict[str, object]:
    fields = failure.as_fields() if failure else {}
    return {"method": method.name, "published": False, **fields}


def _row(method: Method, proven: "Proven | None", exit_code: int) -> "Row":
    from scripts.demonstration.comparison import Row, row_of  # noqa: PLC0415

    return row_of(proven) if proven else Row(method.name, f"FAILED with exit code {exit_code}")


class _Parser(argparse.ArgumentParser):
    """Tells of misuse in JSON, too, if JSON was asked for."""

    in_json = False

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and exit."""
        if self.in_json:
            step, code = "Read scripts/demo --help.", 2
            _put({"error": "MisuseError", "message": message, "next_step": step, "exit_code": code})
        super().error(message)


def _put(fields: dict[str, object]) -> None:
    print(json.dumps(fields), flush=True)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = _parser()
    parser.in_json = "--json" in (sys.argv[1:] if arguments is None else arguments)
    options = parser.parse_args(arguments)
    if options.element and options.method != _ALL and not METHODS[options.method].makes_its_key:
        parser.error(
            f"{options.method}: AWS makes the key and sends it, so it was outside an element "
            "before it could be inside; next: --method claim, or leave --element out"
        )
    return options


def _parser() -> _Parser:
    parser = _Parser(
        prog="scripts/demo",
        description="From nothing to a proven, publishing device, on this machine alone: starts "
        "a local AWS, makes a device with a fresh serial number, boots it and runs it until its "
        "first telemetry is acknowledged.",
        epilog="Exit code 0 only if all of it happened, else that of the command that failed.",
    )
    parser.add_argument(
        "--method", choices=[*METHODS, _ALL], default="claim",
        help="how it provisions; all: each in turn, and a table at the end (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--element", choices=["softhsm"], default="",
        help="make the device's key in a secure element: a SoftHSM token of its own",
    )  # fmt: skip
    parser.add_argument(
        "--json", action="store_true",
        help="one JSON object a method on stdout, and with all one of all; words on stderr",
    )  # fmt: skip
    return parser
