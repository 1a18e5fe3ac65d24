"""From nothing to a proven, publishing device, on this machine alone.

The demo types the commands that a person would type, and shows each. What it leaves in
.firstboot is a local AWS that still runs, a station, and one more device each time.
"""

import argparse
import fcntl
import json
import os
import secrets
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from scripts.demonstration.commands import Commands
    from scripts.demonstration.story import Story

_STATE: Final = Path(".firstboot")
_CONFIG: Final = "config/claim.yaml"
_SETTINGS: Final[Mapping[str, Mapping[str, str]]] = {
    "claim": {},
    "claim-aws-keys": {"DEVICE_METHOD": "claim-aws-keys"},
}
"""The methods, and what of the configuration each changes."""


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; return 0 if all of it happened, else the exit code of what failed."""
    options = _parser().parse_args(arguments)
    # --help is answered before there is a .venv; the rest needs what is in it.
    from scripts.demonstration.commands import CommandFailedError, Commands  # noqa: PLC0415
    from scripts.demonstration.story import Story  # noqa: PLC0415

    story = Story(sys.stderr if options.json else sys.stdout)
    try:
        result = _demo(options.method, Commands(story), story)
    except CommandFailedError as error:
        story.failed(error)
        return error.exit_code
    except OSError as error:
        story.failed(CommandFailedError("scripts/demo", str(error), 1))
        return 1
    except KeyboardInterrupt:
        story.stopped()
        return 1
    if options.json:
        print(json.dumps(result))
    return 0


def _demo(method: str, commands: "Commands", story: "Story") -> dict[str, object]:
    from scripts.demonstration.boot import FirstBoot  # noqa: PLC0415
    from scripts.demonstration.cloud import registered  # noqa: PLC0415

    serial = f"SN-{datetime.now(UTC):%Y%m%d}-{secrets.token_hex(3).upper()}"
    state, settings = f"{_STATE}/devices/{serial}", _SETTINGS[method]
    device = ("--state", state, "--config", _CONFIG)
    story.begin(method)

    with _alone():
        story.chapter("An AWS on this machine")
        commands.run("localcloud", "up", "--detach")
        cloud = json.loads(commands.ask("localcloud", "env", "--json"))
        commands.environment |= cloud
        story.chapter("The factory: the cloud side once, and then each device")
        commands.run("factory", "prepare", "--method", method)
        commands.run("factory", "make", "--method", method, "--serial", serial)

    boot = FirstBoot(method, story)
    story.chapter("First boot: the times run from power-on")
    commands.follow(("device", "boot", *device), settings, boot.hear)
    story.chapter("At work, from here on with an identity of its own")
    commands.follow(("device", "run", *device), settings, boot.hear)
    boot.check_complete()

    story.chapter("What the device is now")
    commands.run("device", "status", "--state", state)
    story.chapter("What the cloud knows of it now")
    story.facts(registered(cloud, boot.thing_name, boot.certificate_id))
    story.try_next(_more(method, state, settings))
    return {
        "method": method,
        "serial": serial,
        "thing_name": boot.thing_name,
        "certificate_id": boot.certificate_id,
        "key_store": boot.key_store,
        "steps": boot.steps,
        "published": True,
    }


@contextmanager
def _alone() -> Iterator[None]:
    """Let one demo at a time start the cloud and use the station, which serves one at a time."""
    _STATE.mkdir(exist_ok=True)
    lock = os.open(_STATE, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _more(method: str, state: str, settings: Mapping[str, str]) -> Mapping[str, list[str]]:
    """Return what to do next and the commands for it; each works after those above it."""
    exports = {"DEVICE_STATE": state, "DEVICE_CONFIG": _CONFIG, **settings}
    second = f"SN-{secrets.token_hex(3).upper()}"
    return {
        "in this shell, know the commands, the local AWS and the device": [
            ". .venv/bin/activate",
            'eval "$(localcloud env)"',
            f"export {' '.join(f'{name}={value}' for name, value in exports.items())}",
        ],
        "see what the device is, offline": ["device status"],
        "let it work: telemetry each minute, until Ctrl-C": ["device run"],
        "make a second device, and boot it": [
            f"factory make --method {method} --serial {second}",
            f"device boot --state {_STATE}/devices/{second}",
        ],
        "stop the local AWS; what it knows stays in .firstboot/cloud": ["localcloud down"],
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/demo",
        description="From nothing to a proven, publishing device, on this machine alone: starts "
        "a local AWS, makes a device with a fresh serial number, boots it and runs it until its "
        "first telemetry is acknowledged.",
        epilog="Exit code 0 only if all of it happened, else that of the command that failed.",
    )
    parser.add_argument(
        "--method", choices=_SETTINGS, default="claim", help="how it provisions (%(default)s)"
    )
    parser.add_argument(
        "--json", action="store_true", help="one JSON object on stdout at the end, words on stderr"
    )
    return parser
