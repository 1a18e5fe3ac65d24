"""The ``device`` command: verbs, one function each; the only place that prints or exits.

Data goes to standard output, words to standard error. What is slow to load is loaded by
the verb that needs it: ``device status`` never opens awscrt.
"""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

from device import __version__
from device.errors import ConfigurationError, ExitCode, FirstbootError, StoppedError

if TYPE_CHECKING:
    from pathlib import Path

    from device.agent import Agent
    from device.runtime.claim_delivery import DeliveredClaim
    from device.runtime.clock import Clock
    from device.runtime.driver import Patience
    from device.settings import Settings
    from device.timeline import Timeline

Options = argparse.Namespace
Verb = Callable[[Options], None]
HELP_FORMAT: Final = partial(argparse.HelpFormatter, width=100)
"""Of fixed width: help reads the same everywhere, and asking the terminal would load 3 ms."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; return the exit code."""
    options = _parser().parse_args(arguments)
    verb: Verb = options.verb
    try:
        verb(options)
    except FirstbootError as error:
        _report(error, options)
        return error.exit_code
    except KeyboardInterrupt:
        return ExitCode.TRY_LATER
    except BrokenPipeError:
        sys.stderr.close()  # whoever read us went away; the interpreter would complain at exit
    return ExitCode.DONE


def boot(options: Options) -> None:
    """Provision the device until its identity is proven, then exit."""
    with _power_on(options) as (agent, timeline, patience):
        agent.boot(timeline, patience)
        agent.session.close()
        _show_identity(agent, options)


def run(options: Options) -> None:
    """Boot, then operate until stopped."""
    with _power_on(options) as (agent, timeline, _):
        try:
            connected = agent.boot_until_proven(timeline)
        except StoppedError:
            return
        _show_identity(agent, options)
        agent.operate(timeline, already_connected=connected)


def status(options: Options) -> None:
    """Print what the device is, from its storage alone."""
    import msgspec  # noqa: PLC0415 - 20 ms, which `device --version` need not pay

    from device.status import read_status  # noqa: PLC0415

    found = msgspec.to_builtins(read_status(_state(options)))
    if options.json:
        _print_json(found)
        return
    width = max(map(len, found))
    for name, value in found.items():
        shown = ", ".join(map(str, value)) if isinstance(value, list) else value
        print(f"{name.replace('_', ' '):<{width}}  {shown}")


def reset(options: Options) -> None:
    """Return the device to where the station left it."""
    from device.reset import reset as reset_device  # noqa: PLC0415
    from device.storage.device_storage import open_device_storage  # noqa: PLC0415

    with open_device_storage(_state(options)) as storage:
        changed = reset_device(storage, forget_identity=options.forget_identity)
    _say("reset: the next boot is a first boot" if changed else "reset: there was nothing to undo")
    if options.json:
        _print_json({"reset": changed})


@contextmanager
def _power_on(options: Options) -> Iterator[tuple["Agent", "Timeline", "Patience"]]:
    """Open the storage, plan, and listen for SIGTERM; everything is closed at the end."""
    from device import log, settings  # noqa: PLC0415
    from device.agent import Agent  # noqa: PLC0415
    from device.plan import plan_for  # noqa: PLC0415
    from device.runtime.awscrt_session import AwscrtSession  # noqa: PLC0415
    from device.runtime.clock import SystemClock  # noqa: PLC0415
    from device.storage.device_storage import open_device_storage  # noqa: PLC0415

    log.set_up(options.log_level)
    timeline = _timeline(options)
    config = _config(options)
    flags = {"endpoint": options.endpoint, "root_ca": options.root_ca}
    chosen = settings.load(config, os.environ, flags)
    with open_device_storage(_state(options)) as storage:
        timeline.add("storage opened", f"generation {storage.generation}")
        plan = plan_for(storage, chosen, str(config))
        clock = SystemClock()
        delivered = _delivered_claim(options, clock)
        agent = Agent(
            storage, chosen, plan, open_session=AwscrtSession, clock=clock, claims=delivered
        )

        def stop(*_: object) -> None:
            agent.session.request_stop()
            if delivered is not None:
                delivered.stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        try:
            yield agent, timeline, _patience(chosen)
        finally:
            agent.session.close()


def _delivered_claim(options: Options, clock: "Clock") -> "DeliveredClaim | None":
    if options.wait_for_claim is None:
        return None
    from pathlib import Path  # noqa: PLC0415

    from device.runtime.claim_delivery import DeliveredClaim  # noqa: PLC0415

    place = Path(options.wait_for_claim) if options.wait_for_claim else _state(options) / "claim"
    return DeliveredClaim(place, clock, _say)


def _patience(chosen: "Settings") -> "Patience":
    from device.runtime.driver import Patience  # noqa: PLC0415 - status must not load this

    retry = chosen.connection.retry
    return Patience(
        unreachable=retry.give_up_unreachable_after,
        refused=retry.give_up_refused_after,
        activation=chosen.just_in_time.budget,
    )


def _show_identity(agent: "Agent", options: Options) -> None:
    identity = agent.identity
    if identity is None:
        return
    _say(f"this device is {identity.thing_name}, certificate {identity.certificate_id[:12]}...")
    if options.json:
        fields = ("method", "thing_name", "certificate_id", "key_uri", "key_made_by")
        _print_json({"identity": {name: getattr(identity, name) for name in fields}})


def _timeline(options: Options) -> "Timeline":
    from device.timeline import Step, Timeline  # noqa: PLC0415

    def tell(step: Step) -> None:
        _say(f"{step.ms / 1000:9.3f} s  {step.name:<20} {step.detail}".rstrip())
        if options.json:
            _print_json({"step": step.name, "ms": step.ms, "detail": step.detail})

    return Timeline(tell)


def _report(error: FirstbootError, options: Options) -> None:
    _say(f"device: {error}")
    _say(f"next: {error.next_step}")
    if options.json:
        fields = {"error": type(error).__name__, "message": str(error)}
        _print_json(fields | {"next_step": error.next_step, "exit_code": int(error.exit_code)})


def _state(options: Options) -> "Path":
    named = options.state or os.environ.get("DEVICE_STATE")
    if not named:
        problem = "names no device"
        raise ConfigurationError("--state", "", problem, "Say which: --state DIR or DEVICE_STATE.")
    return _path(named)


def _config(options: Options) -> "Path":
    named = options.config or os.environ.get("DEVICE_CONFIG")
    if not named:
        step = "Name one: --config FILE or DEVICE_CONFIG; config/ has one per method."
        raise ConfigurationError("--config", "", "names no settings file", step)
    return _path(named)


def _path(name: str) -> "Path":
    from pathlib import Path  # noqa: PLC0415 - 3 ms, which `device --version` need not pay

    return Path(name)


def _print_json(value: object) -> None:
    import json  # noqa: PLC0415 - not every verb prints it

    print(json.dumps(value), flush=True)


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    every = argparse.ArgumentParser(add_help=False, formatter_class=HELP_FORMAT)
    every.add_argument("--state", metavar="DIR", help="the device's folder, or DEVICE_STATE")
    every.add_argument("--json", action="store_true", help="one JSON object a line on stdout")
    online = argparse.ArgumentParser(add_help=False, formatter_class=HELP_FORMAT)
    online.add_argument("--config", metavar="FILE", help="the settings, or DEVICE_CONFIG")
    online.add_argument("--endpoint", metavar="HOST:PORT", help="AWS IoT, instead of the settings'")
    online.add_argument("--root-ca", metavar="FILE", help="CAs to trust, instead of the settings'")
    place = (
        "wait until a trusted user hands a claim over: at a socket, DIR/claim unless named, or as "
        "a file of mode 0600 whose name ends in .json"
    )
    online.add_argument("--wait-for-claim", metavar="PATH", nargs="?", const="", help=place)
    levels = ("debug", "info", "warning", "error")
    online.add_argument("--log-level", choices=levels, default="warning")
    parser = argparse.ArgumentParser(
        prog="device",
        description="The firmware client of a simulated device for AWS IoT Core.",
        epilog="Exit codes: 0 done, 1 failed, 2 misuse, 3 configuration invalid, 4 denied "
        "(trying again will not help), 5 not reachable or throttled (try later), 6 storage "
        "corrupt, rolled back or not SECURED.",
        formatter_class=HELP_FORMAT,
    )
    parser.add_argument("--version", action="version", version=f"device {__version__}")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    for verb, parents in ((boot, [every, online]), (run, [every, online])):
        _add(verbs, verb, parents)
    _add(verbs, status, [every])
    forget = "throw a proven identity away as well; only the station can then help"
    _add(verbs, reset, [every]).add_argument("--forget-identity", action="store_true", help=forget)
    return parser


def _add(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]",
    verb: Verb,
    parents: list[argparse.ArgumentParser],
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
