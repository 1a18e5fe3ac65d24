"""A local AWS of the bench's own, a station, and devices as it makes them."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from pytest_firstboot.local_aws import free_ports
from scripts.benchmarks.processes import Run, RunFailedError, measure

CHECKOUT: Final = Path(__file__).resolve().parents[2]
_NOT_OURS: Final = ("AWS_", "DEVICE_", "PYTHON")
"""A user's settings would change what is measured; PYTHONDONTWRITEBYTECODE above all."""
NOT_INSTALLED: Final = ("typing_extensions",)
"""What msgspec loads if it is there: tools of this checkout bring it, `pip install` does not."""


@dataclass(frozen=True)
class Workbench:
    """A scratch folder, and the environments that commands run in."""

    folder: Path
    environment: Mapping[str, str]
    """Of what is measured: a device in the field has no variables set for it."""
    cloud: Mapping[str, str]
    """What leads the station, and whoever asks, to the local AWS."""
    checkout: Path = CHECKOUT
    """Whose code the commands run."""

    def measure(
        self,
        *command: str,
        settings: Mapping[str, str] = MappingProxyType({}),
        share: float | None = None,
    ) -> Run:
        """Run one command on this bench, with variables of its own; return what it cost.

        It gets ``share`` of a core, or all that there is.
        """
        as_installed = {"PYTHONPATH": str(self.folder / "not-installed")}
        return measure(command, {**self.environment, **as_installed, **settings}, CHECKOUT, share)

    def prepare(self, method: str = "claim") -> None:
        """Have the station prepare the cloud for a method."""
        self.call("factory", "prepare", "--method", method, *self.station)

    def make_device(self, serial: str, method: str = "claim") -> Path:
        """Have the station make a device; return its state folder."""
        state = self.folder / "devices" / serial
        device = ("--method", method, "--serial", serial, "--out", str(state))
        self.call("factory", "make", *device, *self.station)
        return state

    def make_devices(self, batch: str, count: int, folder: Path) -> None:
        """Have the station make a batch of devices by claim, each in a folder in ``folder``."""
        serials = self.folder / f"{batch}.csv"
        names = "".join(f"{batch}-{number:04}\n" for number in range(count))
        serials.write_text(f"serial\n{names}")
        listed = ("--serials", str(serials), "--batch", batch, "--out", str(folder))
        self.call("factory", "make", "--method", "claim", *listed, *self.station)

    def call(self, module: str, *arguments: str) -> str:
        """Run one of our commands without measuring it; return its standard output.

        Raises:
            RunFailedError: it did not end with 0.
        """
        command = [sys.executable, "-m", module, *arguments]
        done = subprocess.run(  # noqa: S603 - our own interpreter and arguments
            command,
            cwd=self.checkout,
            env={**self.environment, **self.cloud},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RunFailedError(command, done.returncode, done.stdout + done.stderr)
        return done.stdout

    @property
    def station(self) -> tuple[str, ...]:
        """The option that names this bench's station."""
        return ("--station", str(self.folder / "station"))

    @property
    def state(self) -> tuple[str, ...]:
        """The option that names this bench's local AWS."""
        return ("--state", str(self.folder / "cloud"))


@contextmanager
def open_workbench() -> Iterator[Workbench]:
    """Start a local AWS on free ports and prepare it for claim; all of it is gone afterwards.

    Raises:
        RunFailedError: the local AWS or the station could not be set up.
    """
    with local_aws(CHECKOUT) as bench:
        bench.prepare()
        yield bench


@contextmanager
def local_aws(checkout: Path) -> Iterator[Workbench]:
    """Start the local AWS of ``checkout`` on free ports; all of it is gone afterwards.

    Python's bytecode is cached in the scratch folder by the round that warms up: an installed
    firmware has its bytecode, a fresh checkout may not.

    Raises:
        RunFailedError: it could not be started.
    """
    with tempfile.TemporaryDirectory(prefix="firstboot-bench-") as name:
        folder = Path(name)
        bench = Workbench(folder, _environment(folder), cloud={}, checkout=checkout)
        _hide(folder / "not-installed")
        api, mqtt = free_ports()
        ports = ("--api-port", str(api), "--mqtt-port", str(mqtt))
        try:
            bench.call("localcloud", "up", *bench.state, *ports, "--detach")
            leads_there = json.loads(bench.call("localcloud", "env", *bench.state, "--json"))
            yield replace(bench, cloud=leads_there)
        finally:
            bench.call("localcloud", "down", *bench.state)


def _hide(folder: Path) -> None:
    """Have Python find in ``folder`` that what no device has is not installed."""
    folder.mkdir()
    for name in NOT_INSTALLED:
        (folder / f"{name}.py").write_text(f"raise ImportError({name!r})\n")


def _environment(folder: Path) -> dict[str, str]:
    inherited = {
        variable: value
        for variable, value in os.environ.items()
        if not variable.startswith(_NOT_OURS)
    }
    return inherited | {"PYTHONPYCACHEPREFIX": str(folder / "bytecode")}


def device_command() -> tuple[str, ...]:
    """Return ``device`` as this environment installed it, else by its module."""
    installed = Path(sys.executable).parent / "device"
    return (str(installed),) if installed.exists() else (sys.executable, "-m", "device")
