"""``device`` as a process against the local AWS, with claims that a station made or a test bent."""

import io
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from unittest import mock

from device.cli import main
from device.storage.keys import MemoryIdentity
from factory.cli import main as factory_main
from factory.station.station import open_station
from tests.support.devices import make_device
from tests.support.hang import SECONDS, killed_if_silent
from tests.wire.conftest import ROOT, LocalCloud, python

CONFIG: Final = ROOT / "config" / "claim.yaml"
QUICK: Final = {
    "DEVICE_CONNECTION__RETRY__LONGEST": "1",
    "DEVICE_CONNECTION__RETRY__GIVE_UP_REFUSED_AFTER": "0",
    "DEVICE_CONNECTION__RETRY__GIVE_UP_UNREACHABLE_AFTER": "0",
    "DEVICE_CONNECTION__REPLY_TIMEOUT": "60",
    "DEVICE_CONNECTION__CONNECT_TIMEOUT": "60",
}
"""Try once. A test in which nobody answers sets a time-out of its own."""

PATIENT: Final = {
    "DEVICE_CONNECTION__RETRY__GIVE_UP_REFUSED_AFTER": "30",
    "DEVICE_CONNECTION__RETRY__GIVE_UP_UNREACHABLE_AFTER": "30",
}


@dataclass(frozen=True)
class Finished:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What ``--json`` printed."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def steps(self) -> list[str]:
        """The names of the steps, in order."""
        return [line["step"] for line in self.lines if "step" in line]

    @property
    def identity(self) -> dict[str, Any]:
        """What the device said it is."""
        [found] = [line["identity"] for line in self.lines if "identity" in line]
        return dict(found)

    @property
    def error(self) -> dict[str, Any]:
        """What the device said is wrong."""
        [found] = [line for line in self.lines if "error" in line]
        return found


@dataclass
class Running:
    """A command that is not done yet."""

    process: "subprocess.Popen[str]"
    seen: list[dict[str, Any]] = field(default_factory=list)

    def wait_for(self, step: str) -> dict[str, Any]:
        """Read what it prints up to the next line of ``step``."""
        assert self.process.stdout is not None
        with killed_if_silent(self.process):
            for line in self.process.stdout:
                self.seen.append(json.loads(line))
                if self.seen[-1].get("step") == step:
                    return self.seen[-1]
        raise AssertionError(f"it ended before {step!r}: {self.seen}, {self.stop()}")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> Finished:
        """Ask it to stop; return what it still had to say."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=SECONDS)
        return Finished(self.process.returncode, out, err)


def command(*arguments: str | Path) -> list[str]:
    """Return a ``device`` command line with ``--json``."""
    return python("-m", "device", *map(str, arguments), "--json")


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of this process with these settings of a device, and no others."""
    clean = {name: text for name, text in os.environ.items() if not name.startswith("DEVICE_")}
    return {**clean, **QUICK, **settings}


def device(*arguments: str | Path, **settings: str) -> Finished:
    """Run a command to its end; no command may ever show a traceback."""
    done = subprocess.run(
        command(*arguments),
        cwd=ROOT,
        env=environment(settings),
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Finished(done.returncode, done.stdout, done.stderr)


def device_here(*arguments: str | Path, **settings: str) -> Finished:
    """Run a command to its end in this process: a tenth of the time of one of its own."""
    out, err = io.StringIO(), io.StringIO()
    with (
        as_it_was_found(),
        mock.patch.dict(os.environ, environment(settings), clear=True),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        code = main([*map(str, arguments), "--json"])
    assert "Traceback" not in err.getvalue(), err.getvalue()
    return Finished(code, out.getvalue(), err.getvalue())


@contextmanager
def as_it_was_found() -> Iterator[None]:
    """Give this process its log and its signals back, which a command takes for itself."""
    root = logging.getLogger()
    handlers, level, unraisable = root.handlers[:], root.level, sys.unraisablehook
    signals = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        sys.unraisablehook = unraisable
        for number, handler in signals.items():
            signal.signal(number, handler)


def boot(state: Path, *arguments: str | Path, **settings: str) -> Finished:
    """Boot a device as the project's own settings say."""
    return device("boot", "--state", state, "--config", CONFIG, *arguments, **settings)


def boot_here(state: Path, *arguments: str | Path, **settings: str) -> Finished:
    """Boot a device as `boot` does, in this process."""
    return device_here("boot", "--state", state, "--config", CONFIG, *arguments, **settings)


@contextmanager
def running(*arguments: str | Path, **settings: str) -> Iterator[Running]:
    """Start a command; it is killed at the end if it is still there."""
    process = subprocess.Popen(
        command(*arguments),
        cwd=ROOT,
        env=environment(settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield Running(process)
        finally:
            if process.poll() is None:
                process.kill()


@dataclass(frozen=True)
class Works:
    """A station that has prepared one local AWS, and makes devices for it at once."""

    cloud: LocalCloud
    claim: MemoryIdentity

    def make(self, state: Path, serial: str, claim: tuple[bytes, bytes] | None = None) -> Path:
        """Make a device in ``state``, with the station's claim or another; return ``state``."""
        return make_device(
            state,
            serial=serial,
            endpoint=f"{self.cloud.mqtt_host}:{self.cloud.mqtt_port}",
            root_ca=self.cloud.root_ca.read_bytes(),
            claim=claim or (self.claim.certificate_pem, self.claim.private_key_pem),
        )

    def bent_claim(self, name: str, policy: Mapping[str, object]) -> tuple[bytes, bytes]:
        """Return certificate and key of an ACTIVE claim with a policy of its own."""
        iot = self.cloud.client("iot")
        iot.create_policy(policyName=name, policyDocument=json.dumps(policy))
        made = iot.create_keys_and_certificate(setAsActive=True)
        iot.attach_policy(policyName=name, target=made["certificateArn"])
        return made["certificatePem"].encode(), made["keyPair"]["PrivateKey"].encode()


_WORKS: Final[dict[str, Works]] = {}


def works_for(cloud: LocalCloud, folder: Path) -> Works:
    """Prepare ``cloud`` from a station in ``folder``, unless this test run has done so before."""
    if cloud.api_url not in _WORKS:
        said = io.StringIO()
        with (
            mock.patch.dict(os.environ, cloud.environment),
            redirect_stdout(said),
            redirect_stderr(said),
        ):
            code = factory_main(["prepare", "--method", "claim", "--station", str(folder)])
        assert code == 0, said.getvalue()
        with open_station(folder, read_only=True) as station:
            _WORKS[cloud.api_url] = Works(cloud, station.claim())
    return _WORKS[cloud.api_url]
