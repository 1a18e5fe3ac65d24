"""The ``factory`` command: makes its parser from ``factory/verbs``; the only place that prints."""

import argparse
import json
import logging
import os
import re
import sys
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from io import TextIOWrapper
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, Final, NoReturn

from device.errors import ExitCode, FirstbootError, machine_refusal
from device.errors.text import foreign, printable
from factory import verbs
from factory.errors import MACHINE_REFUSED, MISUSE, STOPPED

_STATION: Final = Path(".firstboot/station")
_LONGEST_WORDS: Final = 4_000
_HELP_FORMAT: Final = partial(argparse.HelpFormatter, width=80)
"""Of fixed width: help reads the same everywhere."""
_SDK_LOGGERS: Final = ("boto3", "botocore", "urllib3")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code (``device.errors.ExitCode``)."""
    _fill_standard_streams()
    words = sys.argv[1:] if argv is None else list(argv)
    try:
        exit_code = _run(words, _Terminal(in_json="--json" in words))
        sys.stdout.flush()
    except OSError as error:  # nobody reads what is printed, or the disk that takes it is full
        if not isinstance(error, BrokenPipeError):
            told = MACHINE_REFUSED.error(f"this machine refused: {error}")
            print(f"factory: error {told.code}: {told}\nnext: {told.next_step}", file=sys.stderr)
        # What is still buffered goes nowhere at exit, instead of failing again there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.FAILED
    return exit_code


def _fill_standard_streams() -> None:
    """Put the null device where a standard stream was closed by whoever started us.

    Else the next file that is opened, such as the ledger, would take its number.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        continue
    os.close(descriptor)
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8")  # noqa: SIM115 - until the end
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8")  # noqa: SIM115 - as above
    if isinstance(sys.stdout, TextIOWrapper):  # of ASCII, or for a name that is not UTF-8
        sys.stdout.reconfigure(errors="backslashreplace")


def _run(words: Sequence[str], console: "_Terminal") -> ExitCode:
    try:
        arguments = _parsed(words)
        _log_to_stderr(arguments.log_level)
        arguments.run(arguments, console)
    except FirstbootError as error:
        return console.fail(error)
    except BrokenPipeError:
        raise
    except OSError as error:
        problem = f"{foreign(str(error.filename or 'this machine'))}: {error.strerror or error}"
        return console.fail(MACHINE_REFUSED.error(problem), type(error).__name__)
    except (MemoryError, RuntimeError) as error:
        if not (problem := machine_refusal(error)):
            raise
        return console.fail(MACHINE_REFUSED.error(problem), type(error).__name__)
    except KeyboardInterrupt:
        return console.fail(STOPPED.error("stopped"))
    return ExitCode.DONE


def _parsed(words: Sequence[str]) -> argparse.Namespace:
    whole = parser(words[0] if words else "")
    given = whole.parse_args(words)
    if any(not each or re.fullmatch("--[a-z-]+=", each) for each in words):
        whole.error("an argument is empty; was a variable of the shell not set?")
    return given


class _Terminal:
    """Words go to stderr, data to stdout."""

    def __init__(self, *, in_json: bool) -> None:
        self._in_json = in_json

    def say(self, *lines: str) -> None:
        for line in lines:
            print(_fit(line), file=sys.stderr)

    def show(self, document: object, *lines: str) -> None:
        texts = (json.dumps(document),) if self._in_json else lines
        for line in "\n".join(texts).split("\n") if texts else ():
            print(printable(line))

    def fail(self, error: FirstbootError, name: str = "") -> ExitCode:
        """Tell of ``error``; return its exit code."""
        if error.row is MISUSE:
            print(error.fields["usage"], end="", file=sys.stderr)
        self.say(f"factory: error {error.code}: {error}", f"  next: {error.next_step}")
        fields = {"error": name or error.name, "code": error.code, "message": _fit(str(error))}
        next_step = _fit(error.next_step)
        self.show(fields | {"next_step": next_step, "exit_code": int(error.exit_code)})
        return error.exit_code


def _fit(words: str) -> str:
    """Return ``words`` so that they can neither begin another line nor command the terminal."""
    return foreign(words, _LONGEST_WORDS)


def _log_to_stderr(level: str) -> None:
    logging.basicConfig(level=level.upper(), format="%(levelname)s %(name)s: %(message)s")
    # At DEBUG the SDK prints whole requests, and a session token is one of their headers.
    for name in _SDK_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)


class _Parser(argparse.ArgumentParser):
    """Raises instead of exiting; refuses an option given twice, unless its values are collected."""

    def __init__(self, **words: Any) -> None:
        super().__init__(**words)
        self.register("action", None, _Once)
        self.register("action", "store", _Once)

    def error(self, message: str) -> NoReturn:
        """Raise the misuse that ``message`` is about; it is told as every other error is."""
        raise MISUSE.error(message, usage=self.format_usage(), help_command=f"{self.prog} --help")


class _Once(argparse.Action):
    """Stores a value that is given once."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace,
        values: Any, option_string: str | None = None,
    ) -> None:  # fmt: skip
        """Store ``values``, or end with a misuse if there was one before."""
        given: set[str] = namespace.given
        if option_string is not None and self.dest in given:
            parser.error(f"argument {option_string}: it is given twice")
        given.add(self.dest)
        setattr(namespace, self.dest, values)


def parser(first: str = "--help") -> argparse.ArgumentParser:
    """Return the parser; where ``first`` is a verb, no other verb is loaded."""
    top = _Parser(
        prog="factory",
        description="The manufacturing station: prepare the cloud, make devices.",
        epilog="An error shows its code: factory explain FB-nnn prints causes and next step.",
        formatter_class=_HELP_FORMAT,
    )
    top.add_argument("--version", action="version", version=f"factory {_version()}")
    commands = top.add_subparsers(required=True, metavar="VERB")
    for name in _verb_names():
        if first in {name, "-h", "--help"}:
            _add_verb(commands, name)
        else:
            commands.add_parser(name, add_help=False)  # known by name only; not loaded
    return top


def _version() -> str:
    try:
        return version("firstboot")
    except PackageNotFoundError:
        return "(from a checkout)"


def _verb_names() -> list[str]:
    modules = [module.name for module in iter_modules(verbs.__path__)]
    return [name.replace("_", "-") for name in modules if not name.startswith("_")]


def _add_verb(commands: "argparse._SubParsersAction[_Parser]", name: str) -> None:
    verb = import_module(f"factory.verbs.{name.replace('-', '_')}")
    command = commands.add_parser(
        name, help=verb.SUMMARY, description=verb.SUMMARY, formatter_class=_HELP_FORMAT
    )
    verb.add_options(command)
    command.add_argument(
        "--station", type=Path, default=_STATION, metavar="DIR",
        help="the station's folder (lint and rewrap need none); default: %(default)s",
    )  # fmt: skip
    command.add_argument("--json", action="store_true", help="one JSON object a line on stdout")
    command.add_argument(
        "--log-level", default="warning", choices=["debug", "info", "warning", "error"],
        help="how much to log on stderr; default: %(default)s",
    )  # fmt: skip
    command.set_defaults(run=verb.run, given=set())
