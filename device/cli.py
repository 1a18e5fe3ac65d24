"""The ``device`` command: verbs, one function each; the only place that prints or exits.

Data goes to standard output, words to standard error. What is slow to load is loaded by
the verb that needs it: ``device status`` never opens awscrt.
"""

import argparse
import atexit
import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Final, NoReturn

from device import __version__
from device.errors import (
    DISTRIBUTIONS,
    ConfigurationError,
    ExitCode,
    FirstbootError,
    MisuseError,
    NotInstalledError,
)
from device.errors.provisioning import StoppedError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from device.agent import Agent
    from device.config.endpoint import Endpoint
    from device.runtime.timeline import Step
    from device.startup import PoweredDevice

Options = argparse.Namespace
Verb = Callable[[Options], None]
_LONGEST_WORDS: Final = 4_000
HELP_FORMAT: Final = partial(argparse.HelpFormatter, width=100)
"""Of fixed width: help reads the same everywhere, and asking the terminal would load 3 ms."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; return the exit code."""
    atexit.register(gc.freeze)  # a last look through all modules for garbage takes 15 to 30 ms
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        with _ready_to_stop():
            exit_code = _run(given)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read us went away, and so did what we still had to do
        # What is still buffered goes nowhere at exit, instead of failing again there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.FAILED
    return exit_code


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
    raise _Terminated


def _run(arguments: Sequence[str]) -> ExitCode:
    try:
        options = _parser().parse_args(arguments)
        from device.storage.private_memory import keep_memory_private  # noqa: PLC0415 - a verb runs

        keep_memory_private()
        verb: Verb = options.verb
        verb(options)
    except FirstbootError as error:
        return _report(error, arguments)
    except KeyboardInterrupt as stop:
        name = "SIGTERM" if isinstance(stop, _Terminated) else "SIGINT"
        return _report(StoppedError(f"stopped by {name}; nothing is lost"), arguments)
    except ImportError as error:
        package = (error.name or "").partition(".")[0]
        if package not in DISTRIBUTIONS:
            raise
        return _report(NotInstalledError(package, DISTRIBUTIONS[package]), arguments)
    return ExitCode.DONE


def boot(options: Options) -> None:
    """Provision the device until its identity is proven, then exit."""
    with _power_on(options) as device:
        device.agent.boot(device.patience)
        device.agent.session.close()
        _show_identity(device.agent, options)


def run(options: Options) -> None:
    """Boot, then operate until stopped."""
    with _power_on(options) as device:
        with suppress(StoppedError):
            device.agent.boot_until_proven()
            _show_identity(device.agent, options)
            device.agent.operate()
        _say_stopped(device.stop.signal_name, options)


def status(options: Options) -> None:
    """Print what the device is, from its storage alone."""
    import msgspec  # noqa: PLC0415 - 20 ms, which `device --version` need not pay

    from device.verbs.status import lines_of, read_status  # noqa: PLC0415

    found = read_status(_state(options), _chosen_endpoint(options))
    if options.json:
        _print_json(msgspec.to_builtins(found))
        return
    lines = lines_of(found)
    width = max(len(name) for name, _ in lines)
    for name, value in lines:
        print(f"{name:<{width}}  {value}")


def _chosen_endpoint(options: Options) -> "Endpoint | None":
    """Return the endpoint that the settings choose, where settings are given."""
    from device.config.endpoint import Endpoint  # noqa: PLC0415 - see status

    text, source = os.environ.get("DEVICE_ENDPOINT"), "DEVICE_ENDPOINT"
    if options.config or os.environ.get("DEVICE_CONFIG"):
        from device.config import settings  # noqa: PLC0415 - loads yaml

        loaded = settings.load_with_sources(_config(options), os.environ, {})
        text, source = loaded.settings.endpoint, loaded.sources.of("endpoint")
    return Endpoint.parse(text, source) if text else None


def reset(options: Options) -> None:
    """Return the device to where the station left it."""
    from device.storage.device_storage import open_device_storage  # noqa: PLC0415
    from device.verbs.reset import reset as reset_device  # noqa: PLC0415

    with open_device_storage(_state(options)) as storage:
        changed = reset_device(storage, forget_identity=options.forget_identity)
    _say("reset: the next boot is a first boot" if changed else "reset: there was nothing to undo")
    if options.json:
        _print_json({"reset": changed})


def _power_on(options: Options) -> "AbstractContextManager[PoweredDevice]":
    from pathlib import Path  # noqa: PLC0415 - see _state

    # awscrt parses the system's CAs at import and for each connection, 4 ms and 1 MiB a time,
    # although it is always told which CAs to trust instead.
    os.environ["SSL_CERT_FILE"] = os.devnull
    from device.startup import Switches, power_on  # noqa: PLC0415 - loads awscrt

    state, place = _state(options), options.wait_for_claim
    switches = Switches(
        state=state,
        config=_config(options),
        flags={"endpoint": options.endpoint, "root_ca": options.root_ca},
        log_level=options.log_level,
        claim_place=None if place is None else Path(place or state / "claim"),
    )
    return power_on(switches, lambda step: _tell(step, options), _say)


def _tell(step: "Step", options: Options) -> None:
    if not _is_quiet(options):
        _say(f"{step.ms / 1000:9.3f} s  {step.name:<20} {step.detail}".rstrip())
    if options.json:
        _print_json({"step": step.name, "ms": step.ms, "detail": step.detail})


def _is_quiet(options: Options) -> bool:
    """Whether only errors are wanted in words."""
    return bool(options.log_level == "error")


def _show_identity(agent: "Agent", options: Options) -> None:
    identity = agent.identity
    if identity is None:
        return
    if not _is_quiet(options):
        _say(f"this device is {identity.thing_name}, certificate {identity.certificate_id[:12]}...")
    if options.json:
        fields = ("method", "thing_name", "certificate_id", "key_uri", "key_made_by")
        _print_json({"identity": {name: getattr(identity, name) for name in fields}})


def _say_stopped(signal_name: str | None, options: Options) -> None:
    if not _is_quiet(options):
        _say(f"stopped by {signal_name or 'request'}; nothing is lost, run it again")
    if options.json:
        _print_json({"stopped": signal_name})


def _report(error: FirstbootError, arguments: Sequence[str]) -> ExitCode:
    """Tell people, and with ``--json`` programs too; return the exit code."""
    if isinstance(error, MisuseError):
        print(error.usage, end="", file=sys.stderr)
    _say(f"device: {error}")
    _say(f"next: {error.next_step}")
    if "--json" in arguments:
        fields = {"error": type(error).__name__, "message": _fit(str(error))}
        next_step = _fit(error.next_step)
        _print_json(fields | {"next_step": next_step, "exit_code": int(error.exit_code)})
    return error.exit_code


def _state(options: Options) -> "Path":
    named = options.state or os.environ.get("DEVICE_STATE")
    if not named:
        step = "Say which: --state DIR or DEVICE_STATE."
        raise ConfigurationError("--state", "", "no device is named", step)
    return _path(named)


def _config(options: Options) -> "Path":
    named = options.config or os.environ.get("DEVICE_CONFIG")
    if not named:
        step = "Pass --config FILE or set DEVICE_CONFIG; config/ has one per method."
        raise ConfigurationError("--config", "", "no settings file is named", step)
    return _path(named)


def _path(name: str) -> "Path":
    from pathlib import Path  # noqa: PLC0415 - 3 ms, which `device --version` need not pay

    return Path(name)


def _print_json(value: object) -> None:
    import json  # noqa: PLC0415 - not every verb prints it

    print(json.dumps(value), flush=True)


def _say(words: str) -> None:
    """Print one line of words, of which none can begin another line or command the terminal."""
    print(_fit(words), file=sys.stderr, flush=True)


def _fit(words: str) -> str:
    from device.text import foreign  # noqa: PLC0415 - `device --version` says none

    return foreign(words, _LONGEST_WORDS)


class _Parser(argparse.ArgumentParser):
    """Raises instead of exiting, so that misuse is reported as every other error is."""

    def error(self, message: str) -> NoReturn:
        """Raise the `MisuseError` that ``message`` is about."""
        raise MisuseError(message, self.format_usage(), f"{self.prog} --help")


def _parser() -> argparse.ArgumentParser:
    every = _Parser(add_help=False, formatter_class=HELP_FORMAT)
    every.add_argument("--state", metavar="DIR", help="the device's folder, or DEVICE_STATE")
    every.add_argument("--json", action="store_true", help="one JSON object a line on stdout")
    online = _Parser(add_help=False, formatter_class=HELP_FORMAT)
    configured = _Parser(add_help=False, formatter_class=HELP_FORMAT)
    configured.add_argument("--config", metavar="FILE", help="the settings, or DEVICE_CONFIG")
    online.add_argument("--endpoint", metavar="HOST:PORT", help="AWS IoT, instead of the settings'")
    online.add_argument("--root-ca", metavar="FILE", help="CAs to trust, instead of the settings'")
    place = (
        "wait until a trusted user hands a claim over: at a socket, DIR/claim unless named, or as "
        "a file of mode 0600 whose name ends in .json"
    )
    online.add_argument("--wait-for-claim", metavar="PATH", nargs="?", const="", help=place)
    levels = ("debug", "info", "warning", "error")
    quiet = "how much is said on stderr; error leaves out the steps"
    online.add_argument("--log-level", choices=levels, default="warning", help=quiet)
    parser = _Parser(
        prog="device",
        description="The firmware client of a simulated device for AWS IoT Core.",
        epilog="Exit codes: 0 done, 1 failed, 2 misuse, 3 configuration invalid, 4 denied "
        "(trying again will not help), 5 not reachable or throttled (try later), 6 storage "
        "corrupt, rolled back or not SECURED.",
        formatter_class=HELP_FORMAT,
    )
    parser.add_argument("--version", action="version", version=f"device {__version__}")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    for verb, parents in ((boot, [every, configured, online]), (run, [every, configured, online])):
        _add(verbs, verb, parents)
    _add(verbs, status, [every, configured])
    forget = "throw a proven identity away as well; only the station can then help"
    _add(verbs, reset, [every]).add_argument("--forget-identity", action="store_true", help=forget)
    return parser


def _add(
    verbs: "argparse._SubParsersAction[_Parser]",
    verb: Verb,
    parents: list[_Parser],
) -> argparse.ArgumentParser:
    summary = (verb.__doc__ or "").strip()
    parser = verbs.add_parser(
        verb.__name__,
        parents=parents,
        help=summary.rstrip("."),
        description=summary,
        formatter_class=HELP_FORMAT,
    )
    parser.set_defaults(verb=verb)
    return parser
