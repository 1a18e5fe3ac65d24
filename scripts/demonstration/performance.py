"""One method from nothing to a proven, publishing device, by the commands a person would type."""

import fcntl
import json
import os
import secrets
import shlex
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from scripts.demonstration.boot import FirstBoot
from scripts.demonstration.cloud import Cloud, registered, registration_report
from scripts.demonstration.commands import CommandFailedError, Commands, Report
from scripts.demonstration.methods import Method
from scripts.demonstration.story import Story

STATE: Final = Path(".firstboot")
_SOCKET_SECONDS: Final = 10.0
_MOMENT: Final = 0.01


@dataclass(frozen=True)
class Proven:
    """A device that did all that was promised."""

    method: Method
    batch: str
    state: str
    boot: FirstBoot
    issuer: str
    """Who signed its certificate, as the cloud has it."""
    element: str = ""
    """What its key was made in; empty: in software, sealed."""

    def as_fields(self) -> dict[str, object]:
        """Return the object that ``--json`` prints."""
        return {
            "method": self.method.name,
            "serial": self.method.serial_of(self.batch),
            "thing_name": self.boot.thing_name,
            "certificate_id": self.boot.certificate_id,
            "key_store": self.boot.key_store,
            "steps": self.boot.steps,
            "published": True,
        }


class Performance:
    """Shows one method; a second time it makes another device."""

    def __init__(self, method: Method, commands: Commands, story: Story, element: str = "") -> None:
        """Begin with a serial number that nobody has; ``element``: where the key is made."""
        self._method = method
        self._element = element
        self._commands = commands
        self._story = story
        self.batch = f"SN-{datetime.now(UTC):%Y%m%d}-{secrets.token_hex(3).upper()}"
        self._state = f"{STATE}/devices/{method.serial_of(self.batch)}"
        self._device = ("--state", self._state)

    def show(self) -> Proven:
        """Do all of it.

        Raises:
            CommandFailedError: a command did not do what it is for, or something never happened.
            OSError: the disk refused.
        """
        self._story.begin(self._method)
        with _alone():
            self._story.chapter("An AWS on this machine")
            self._commands.run("localcloud", "up", "--detach")
            cloud = self._move_to(0)
            self._manufacture(cloud)
        boot = self._boot()
        self._story.chapter("What the device is now")
        self._commands.run("device", "status", "--state", self._state)
        issuer = self._look_up(cloud, boot)
        for place in range(1, len(self._method.accounts)):
            self._go_on_in(place, boot)
        if self._method.signs_for_all:
            self._story.chapter("The Lambda goes; the device and its certificate stay")
            self._commands.run(*_teardown(self._method))
        return Proven(self._method, self.batch, self._state, boot, issuer, self._element)

    def _move_to(self, place: int) -> Cloud:
        command = self._method.environment(place)
        self._story.command(f'eval "$({shlex.join(command)})"')
        cloud: Cloud = json.loads(self._commands.ask(*command, "--json"))
        self._commands.environment |= cloud
        return cloud

    def _manufacture(self, cloud: Cloud) -> None:
        self._story.chapter("The factory: the cloud side once, and then each device")
        self._commands.run("factory", "prepare", "--method", self._method.name)
        self._commands.run(*self._method.making(self.batch, self._element))
        if self._method.name == "bulk":
            self._story.chapter("What the registration task reported")
            self._story.facts(registration_report(cloud, self.batch))

    def _boot(self) -> FirstBoot:
        boot = FirstBoot(self._method, self._story)
        self._story.chapter("First boot: the times run from power-on")

        def hear(report: Report) -> bool:
            ends = boot.hear(report)
            if self._method.waits_for_claim and report.get("step") == "key made":
                self._hand_claim_over()
            return ends

        self._commands.follow((*self._method.boot, *self._device), hear)
        self._story.chapter("At work, from here on with an identity of its own")
        self._commands.follow(("device", "run", *self._device), boot.hear)
        boot.check_complete()
        return boot

    def _hand_claim_over(self) -> None:
        """Do what the trusted user does, once the device listens."""
        socket, give_up = Path(self._state, "claim"), time.monotonic() + _SOCKET_SECONDS
        while not socket.is_socket():
            if time.monotonic() > give_up:
                raise CommandFailedError("scripts/demo", "the device waits for no claim", 1)
            time.sleep(_MOMENT)
        self._story.remark("It waits. In another shell, the app:")
        self._commands.run("factory", "claim", "--trusted-user", "--device", self._state)

    def _look_up(self, cloud: Cloud, boot: FirstBoot) -> str:
        self._story.chapter("What the cloud knows of it now")
        found = registered(cloud, boot.thing_name, boot.certificate_id)
        self._story.facts(found.facts)
        return found.issuer

    def _go_on_in(self, place: int, boot: FirstBoot) -> None:
        """Let the same device, untouched, work in another account."""
        self._story.chapter("The same device in another account and Region")
        cloud = self._move_to(place)
        self._story.facts({name: cloud[name] for name in ("DEVICE_ENDPOINT", "DEVICE_PROXY")})
        again = FirstBoot(self._method, self._story)
        self._commands.follow(("device", "run", *self._device), again.hear)
        if again.certificate_id != boot.certificate_id:
            raise CommandFailedError("device run", "it is another device here", 1)
        self._story.facts(registered(cloud, again.thing_name, again.certificate_id).facts)


def _teardown(method: Method) -> tuple[str, ...]:
    return ("factory", "teardown", "--method", method.name)


def next_commands(proven: Proven) -> Mapping[str, list[str]]:
    """Return what to do next and the commands for it; each works after those above it."""
    method = proven.method
    batch = f"SN-{secrets.token_hex(3).upper()}"
    second = f"{STATE}/devices/{method.serial_of(batch)}"
    app = f"(sleep 2; factory claim --trusted-user --device {second}) &"
    return {
        "in this shell, know the commands, the local AWS and the device": [
            ". .venv/bin/activate",
            f'eval "$({shlex.join(method.environment())})"',
            f"export DEVICE_STATE={proven.state}",
        ],
        "see what the device is, offline": ["device status"],
        "let it work: telemetry each minute, until Ctrl-C": ["device run"],
        "make a second device, and boot it": [
            *([f"factory prepare --method {method.name}"] if method.signs_for_all else []),
            shlex.join(method.making(batch, proven.element)),
            *([app] if method.waits_for_claim else []),
            f"{shlex.join(method.boot)} --state {second}",
            *([shlex.join(_teardown(method))] if method.signs_for_all else []),
        ],
        **{
            purpose: [line.format(serial=batch, devices=STATE / "devices") for line in lines]
            for purpose, lines in method.try_also.items()
        },
        "stop the local AWS; what it knows stays in .firstboot/cloud": ["localcloud down"],
    }


@contextmanager
def _alone() -> Iterator[None]:
    """Let one demo at a time start the cloud and use the station, which serves one at a time."""
    STATE.mkdir(exist_ok=True)
    lock = os.open(STATE, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
