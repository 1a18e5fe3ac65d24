"""AWS on this machine, for devices under development. NOT FOR PRODUCTION."""

import argparse
import json
import os
import re
import sys
from collections.abc import Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from io import TextIOWrapper
from pathlib import Path
from typing import Final, NoReturn

from localcloud.errors import MACHINE_REFUSED, MISUSE, ExitCode, LocalCloudError
from localcloud.process.state_folder import StateFolder
from localcloud.verbs import clock, down, env, explain, fault, logs, reset, status, up, watch, wire

_DEFAULT_STATE: Final = Path(".firstboot/cloud")
_VERBS: Final = {
    "up": up,
    "env": env,
    "status": status,
    "logs": logs,
    "watch": watch,
    "fault": fault,
    "wire": wire,
    "clock": clock,
    "reset": reset,
    "down": down,
    "explain": explain,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    _fill_standard_streams()
    console = _Terminal(in_json="--json" in given)
    try:
        options = _parsed(given)
        options.verb.run(options, StateFolder(options.state), console)
        sys.stdout.flush()
    except LocalCloudError as error:
        console.fail(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(ExitCode.FAILED)
    except (OSError, MemoryError) as error:
        if not isinstance(error, BrokenPipeError):  # whoever read us went away: nobody to tell
            told = MACHINE_REFUSED.error(str(error) or "there is not enough memory")
            print(
                f"localcloud: error {told.code}: {told}\n  next: {told.next_step}", file=sys.stderr
            )
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ExitCode.FAILED)


def _fill_standard_streams() -> None:
    """Put the null device where a standard stream was closed by whoever started us.

    Else the next file that is opened, such as ``server.json``, would take its number, and words
    for a person would be written into it or among the data.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        continue
    os.close(descriptor)
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8")  # noqa: SIM115 - until the end
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8")  # noqa: SIM115 - as above
    if isinstance(sys.stdout, TextIOWrapper):  # of ASCII, or for a name that is not UTF-8
        sys.stdout.reconfigure(errors="backslashreplace")


def _parsed(given: Sequence[str]) -> argparse.Namespace:
    options = parser().parse_args(given)
    if any(not each or re.fullmatch("--[a-z-]+=", each) for each in given):
        parser().error("an argument is empty; was a variable of the shell not set?")
    return options


class _Terminal:
    """Words go to stderr, data to stdout."""

    def __init__(self, *, in_json: bool) -> None:
        self._in_json = in_json

    def say(self, *lines: str) -> None:
        for line in lines:
            print(_printable(line), file=sys.stderr, flush=True)

    def show(self, document: object, *lines: str, colour: int = 0) -> None:
        # https://no-color.org: any value that is not empty.
        is_colourful = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        for line in (json.dumps(document),) if self._in_json else map(_printable, lines):
            painted = colour and is_colourful and not self._in_json
            print(f"\x1b[{colour}m{line}\x1b[0m" if painted else line, flush=True)

    def fail(self, error: LocalCloudError) -> None:
        if error.row is MISUSE:
            print(error.fields["usage"], end="", file=sys.stderr)
        self.say(f"localcloud: error {error.code}: {error}", f"  next: {error.next_step}")
        if self._in_json:
            self.show(_document(error))


def _printable(line: str) -> str:
    """Return ``line`` so that what clients wrote cannot command the terminal, or begin a line."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in line)


def _document(error: LocalCloudError) -> dict[str, object]:
    said = {"error": error.name, "code": error.code, "message": str(error)}
    return said | {"next_step": error.next_step, "exit_code": int(error.exit_code)}


class _Parser(argparse.ArgumentParser):
    """Raises instead of exiting, so that misuse is told as every other error is."""

    def error(self, message: str) -> NoReturn:
        raise MISUSE.error(message, usage=self.format_usage(), command=self.prog)


def _version() -> str:
    try:
        return version("firstboot")
    except PackageNotFoundError:
        return "(from a checkout)"


def parser() -> argparse.ArgumentParser:
    """Return the parser of every verb."""
    form = partial(argparse.HelpFormatter, width=78)
    top = _Parser(
        prog="localcloud",
        description=__doc__,
        formatter_class=form,
        epilog="An error shows its code: localcloud explain FB-nnn prints causes and next step.",
    )
    top.add_argument("--version", action="version", version=f"localcloud {_version()}")
    verbs = top.add_subparsers(title="verbs", required=True, metavar="VERB")
    common = _Parser(add_help=False)
    common.add_argument(
        "--state",
        type=Path,
        default=_DEFAULT_STATE,
        metavar="DIR",
        help="the local AWS's folder; default: %(default)s",
    )
    common.add_argument("--json", action="store_true", help="one JSON object a line on stdout")
    for name, verb in _VERBS.items():
        sub = verbs.add_parser(
            name,
            parents=[common],
            help=verb.SUMMARY,
            description=verb.SUMMARY,
            formatter_class=form,
        )
        sub.set_defaults(verb=verb)
        verb.add_options(sub)
    return top
