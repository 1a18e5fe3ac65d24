"""The ``device`` command: makes its parser from ``device/verbs``; the only place that prints.

Data goes to standard output, words to standard error. Only the verb that is asked for is
loaded, because what verbs need is slow to load: ``device status`` never opens awscrt.
"""

import argparse
import atexit
import gc
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from importlib import import_module
from io import TextIOWrapper
from typing import Final, NoReturn

from device import __version__, verbs
from device.errors import (
    DISTRIBUTIONS,
    MACHINE_REFUSED,
    MISUSE,
    NOT_INSTALLED,
    ExitCode,
    FirstbootError,
    StoppedError,
    machine_refusal,
)

_LONGEST_WORDS: Final = 4_000
_HELP_FORMAT: Final = partial(argparse.HelpFormatter, width=80)
"""Of fixed width: help reads the same everywhere, and asking the terminal would load 3 ms."""
_VERBS_FORMAT: Final = partial(_HELP_FORMAT, max_help_position=17)
"""Python 3.13 would put the words two columns further right than 3.11."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; return the exit code."""
    atexit.register(gc.freeze)  # a last look through all modules for garbage takes 15 to 30 ms
    given = sys.argv[1:] if arguments is None else list(arguments)
    _fill_standard_streams()
    try:
        with _ready_to_stop():
            exit_code = _run(given, _Terminal(in_json="--json" in given))
        sys.stdout.flush()
    except OSError as error:
        if not isinstance(error, BrokenPipeError):  # whoever read us went away: nobody to tell
            told = MACHINE_REFUSED.error(error)
            print(f"device: error {told.code}: {told}\nnext: {told.next_step}", file=sys.stderr)
        # What is still buffered goes nowhere at exit, instead of failing again there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.FAILED
    return exit_code


def _fill_standard_streams() -> None:
    """Put the null device where a standard stream was closed by whoever started us.

    Else the next file that is opened, such as a storage image, would take its number, and words
    for a person would be written into it or among the data.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        continue
    os.close(descriptor)
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8")  # noqa: SIM115 - until the end
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8")  # noqa: SIM115 - as above
    if isinstance(sys.stdout, TextIOWrapper):  # of ASCII, or for a name that is not UTF-8
        sys.stdout.reconfigure(errors="backslashreplace")


_AGAIN_SECONDS: Final = 1.0


class _Terminated(KeyboardInterrupt):
    """SIGTERM, before the device is on and stops in good order (`device.startup`)."""


@contextmanager
def _ready_to_stop() -> Iterator[None]:
    """Hear SIGTERM from the start: loading awscrt takes a part of a second."""
    before = signal.getsignal(signal.SIGTERM)
    with suppress(ValueError):  # in another thread than the main one
        signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is _terminate:
            signal.signal(signal.SIGTERM, before)


def _terminate(*_: object) -> NoReturn:
    """Raise; and once more, should it be lost in a callback, where Python drops what is raised."""
    signal.signal(signal.SIGALRM, _terminate)
    signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)
    raise _Terminated


def _run(arguments: Sequence[str], console: "_Terminal") -> ExitCode:
    try:
        options = parser(arguments).parse_args(arguments)
        console.in_json = options.json
        from device.storage.private_memory import keep_memory_private  # noqa: PLC0415 - a verb runs

        keep_memory_private()
        ended: ExitCode | None = options.run(options, console)
    except FirstbootError as error:
        return console.fail(error)
    except (MemoryError, RuntimeError) as error:
        if not (problem := machine_refusal(error)):
            raise
        return console.fail(MACHINE_REFUSED.error(problem))
    except KeyboardInterrupt as stop:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        name = "SIGTERM" if isinstance(stop, _Terminated) else "SIGINT"
        return console.fail(StoppedError(f"stopped by {name}; nothing is lost"))
    except ImportError as error:
        package = (error.name or "").partition(".")[0]
        if package not in DISTRIBUTIONS:
            raise
        return console.fail(NOT_INSTALLED.error(package=package, install=DISTRIBUTIONS[package]))
    return ExitCode.DONE if ended is None else ended


class _Terminal:
    """Words go to stderr, data to stdout."""

    def __init__(self, *, in_json: bool) -> None:
        self.in_json = in_json

    def say(self, *lines: str) -> None:
        for line in lines:
            print(_fit(line), file=sys.stderr, flush=True)

    def show(self, document: object, *lines: str) -> None:
        if self.in_json:
            import json  # noqa: PLC0415 - not every verb prints it

            lines = (json.dumps(document),)
        for line in lines:
            print(line, flush=True)

    def fail(self, error: FirstbootError) -> ExitCode:
        """Tell of ``error``; return the exit code."""
        if error.row is MISUSE:
            print(error.fields["usage"], end="", file=sys.stderr)
        self.say(f"device: error {error.code}: {error}", f"next: {error.next_step}")
        fields = {"error": error.name, "code": error.code, "message": _fit(str(error))}
        next_step = _fit(error.next_step)
        self.show(fields | {"next_step": next_step, "exit_code": int(error.exit_code)})
        return error.exit_code


def _fit(words: str) -> str:
    """Return ``words`` so that they can neither begin another line nor command the terminal."""
    from device.errors.text import foreign  # noqa: PLC0415 - `device --version` says none

    return foreign(words, _LONGEST_WORDS)


class _Parser(argparse.ArgumentParser):
    """Raises instead of exiting, so that misuse is reported as every other error is."""

    def error(self, message: str) -> NoReturn:
        """Raise the `MisuseError` that ``message`` is about."""
        raise MISUSE.error(message, usage=self.format_usage(), help_command=f"{self.prog} --help")


def parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser; where ``arguments`` begin with a verb, no other verb is loaded."""
    top = _Parser(
        prog="device",
        description="The firmware client of a simulated device for AWS IoT Core.",
        epilog="Exit codes: 0 done, 1 failed, 2 misuse, 3 configuration invalid, 4 denied "
        "(trying again will not help), 5 not reachable or throttled (try later), 6 storage "
        "corrupt, rolled back or not SECURED, 10 (needs-renewal) not due. An error shows its "
        "code: device explain FB-nnn prints causes and next step.",
        formatter_class=_VERBS_FORMAT,
    )
    top.add_argument("--version", action="version", version=f"device {__version__}")
    commands = top.add_subparsers(metavar="VERB", required=True, parser_class=_Parser)
    first = arguments[0] if arguments else ""
    known = _verb_names()
    for name in [first] if first in known else known:
        if first in {name, "-h", "--help"}:
            _add_verb(commands, name)
        else:
            commands.add_parser(name, add_help=False)  # known by name only; not loaded
    return top


def _verb_names() -> list[str]:
    # Neither pkgutil nor pathlib: each takes 3 ms of the 35 that `device --version` takes.
    files = [name for folder in verbs.__path__ for name in os.listdir(folder)]  # noqa: PTH208 - see above
    names = [name.removesuffix(".py") for name in files if name.endswith(".py")]
    return sorted(name.replace("_", "-") for name in names if not name.startswith("_"))


def _add_verb(commands: "argparse._SubParsersAction[_Parser]", name: str) -> None:
    verb = import_module(f"device.verbs.{name.replace('-', '_')}")
    parser = commands.add_parser(
        name,
        help=verb.SUMMARY.rstrip("."),
        description=verb.SUMMARY,
        formatter_class=_HELP_FORMAT,
    )
    parser.add_argument(
        "--state", metavar="DIR", help="the device's folder; default: $DEVICE_STATE"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line on stdout")
    verb.add_options(parser)
    parser.set_defaults(run=verb.run)
