"""A device at work beside a bare client of AWS's SDK: memory, CPU, and messages a second.

Idle: ``device run`` and the bare client publish every 2 s; both run during the same seconds, and so
does a device that began with its first boot. Each round is a window of two messages. Messages: a
program publishes through the device's socket and its outbox on disk, until all are acknowledged.
"""

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from device.application import Application
from device.provisioning.events import Credential
from device.runtime.credentials import Credentials, InstalledClaim
from device.runtime.durable_outbox import is_done
from device.storage.device_storage import open_device_storage
from device.storage.filesystem import OsFs
from device.storage.keys import MemoryIdentity
from fleet.crowd import memory_kib
from scripts.benchmarks.comparison import Figures, Quantity, Row, alternate, compare
from scripts.benchmarks.processes import BenchError
from scripts.benchmarks.workbench import CHECKOUT, Workbench, device_command, open_workbench

_EVERY_SECONDS: Final = 2.0
_SETTLE_SECONDS: Final = 20.0
"""What a start and a first boot need may be in memory until then."""
_WINDOW_SECONDS: Final = 2 * _EVERY_SECONDS
_MESSAGES: Final = 300
_BYTES: Final = 100
_MOST_ROUNDS: Final = 5
"""For messages a second: a round takes 10 s."""
_PATIENCE_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.01
_NANO: Final = 1e-9
_KIB_A_MIB: Final = 1024
IDLE: Final = (
    Quantity("memory", "resident memory", "MiB", aim=1.15),
    Quantity("cpu", "CPU time a message", "ms", aim=1.10),
)
BUSY: Final = (Quantity("seconds", f"{_MESSAGES} messages, QoS 1", "s", aim=1.25),)
"""1.25 of the time is 0.8 of the messages a second."""
_ACKNOWLEDGED: Final = re.compile(r"acknowledged after: ([0-9.]+) s")
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True)
class Running:
    """A process that was started, and what it prints."""

    pid: int
    output: Path

    @property
    def figures(self) -> Figures:
        """Its CPU time so far, and its memory now."""
        tasks = Path(f"/proc/{self.pid}/task").iterdir()
        spent = sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)
        return {"cpu": spent * _NANO, "memory": memory_kib(str(self.pid)) / _KIB_A_MIB}


def run(rounds: int) -> Mapping[str, list[Row]]:
    """Measure both sides and return the rows.

    Raises:
        BenchError: a side, or the set-up, did not do its work.
    """
    if sys.platform != "linux":
        raise BenchError("this bench reads /proc, which Linux alone has")
    with open_workbench() as bench:
        found = _idle(bench, rounds)
        for name, rate in (("as delivered, 100 a second", None), ("without that limit", "10000")):
            found[f"outbox, {name}"] = _busy(bench, min(rounds, _MOST_ROUNDS), rate)
    return found


def _idle(bench: Workbench, rounds: int) -> dict[str, list[Row]]:
    bare = _bare(bench, "IDLE-BARE", "dt/{}/telemetry")
    proven = bench.make_device("IDLE-PROVEN")
    bench.call("device", "boot", "--state", str(proven))
    interval = {"DEVICE_TELEMETRY__INTERVAL": str(_EVERY_SECONDS)}
    with ExitStack() as stack:
        sides = [
            stack.enter_context(
                _running(bench, (*device_command(), "run", "--state", str(state)), interval)
            )
            for state in (proven, bench.make_device("IDLE-FIRST"))
        ]
        sides.append(stack.enter_context(_running(bench, (*bare, "--every", str(_EVERY_SECONDS)))))
        time.sleep(_SETTLE_SECONDS)
        windows = [_window(sides) for _ in range(rounds)]
    proven_runs, first_runs, bare_runs = zip(*windows, strict=True)
    return {
        "device run, proven before": compare(IDLE, proven_runs, bare_runs),
        "device run, after first boot": compare(IDLE, first_runs, bare_runs),
    }


def _window(sides: list[Running]) -> list[Figures]:
    """Return what each side's messages cost while some seconds pass."""
    before = [side.figures for side in sides]
    time.sleep(_WINDOW_SECONDS)
    messages = _WINDOW_SECONDS / _EVERY_SECONDS
    return [
        {"memory": now["memory"], "cpu": 1000 * (now["cpu"] - then["cpu"]) / messages}
        for then, now in zip(before, [side.figures for side in sides], strict=True)
    ]


def _busy(bench: Workbench, rounds: int, rate: str | None) -> list[Row]:
    name = f"BUSY-{rate or 'DEFAULT'}"
    bare = _bare(bench, f"{name}-BARE", "app/{}/bench")
    unlimited = ("--unlimited",) if rate else ()
    state = bench.make_device(name)
    settings = {
        "DEVICE_APPLICATION__SOCKET": "application.sock",
        "DEVICE_APPLICATION__PUBLISH": "app/{thing_name}/#",
        **({"DEVICE_CONNECTION__PUBLISH_RATE": rate} if rate else {}),
    }
    command = (*device_command(), "run", "--state", str(state))

    def ours(_: int) -> Figures:
        return {"seconds": _through_the_outbox(state, f"app/{name}/bench")}

    def theirs(_: int) -> Figures:
        said = bench.measure(*bare, "--count", str(_MESSAGES), *unlimited).output
        found = _ACKNOWLEDGED.search(said)
        if found is None:
            raise BenchError(f"the bare client did not publish:\n{said}")
        return {"seconds": float(found[1])}

    with _running(bench, command, settings):
        _wait_until((state / "application.sock").exists, "the device's socket is there")
        return compare(BUSY, *alternate([ours, theirs], rounds))


def _through_the_outbox(state: Path, topic: str) -> float:
    """Return the seconds until the outbox, which holds what is not acknowledged, is empty."""
    waiting = OsFs(state / "outbox" / "application")
    begin = time.monotonic()
    with Application(state / "application.sock") as device:
        device.publish_all((topic, bytes(_BYTES)) for _ in range(_MESSAGES))
    _wait_until(
        lambda: all(is_done(waiting.read(name) or b"") for name in waiting.names()),
        "all messages are acknowledged",
    )
    return time.monotonic() - begin


def _bare(bench: Workbench, serial: str, topic: str) -> tuple[str, ...]:
    """Return the bare client's command, with a device's certificate and key in files."""
    state = bench.make_device(serial)
    bench.call("device", "boot", "--state", str(state))
    with open_device_storage(state, read_only=True) as storage:
        tls = Credentials(storage, InstalledClaim(storage)).tls_identity(Credential.DEVICE)
    if not isinstance(tls, MemoryIdentity):
        raise TypeError("the device's key is one in software")
    files = {"--cert": tls.certificate_pem, "--key": tls.private_key_pem}
    host, _, port = bench.cloud["DEVICE_ENDPOINT"].rpartition(":")
    command = [sys.executable, "-c", "from scripts.benchmarks.bare_publisher import main; main()"]
    for option, content in files.items():
        place = bench.folder / f"{serial}{option}.pem"
        place.touch(mode=0o600)
        place.write_bytes(content)
        command += [option, str(place)]
    command += ["--endpoint", host, "--port", port, "--ca-file", bench.cloud["DEVICE_ROOT_CA"]]
    return (*command, "--thing", serial, "--topic", topic.format(serial), "--size", str(_BYTES))


@contextmanager
def _running(
    bench: Workbench, command: tuple[str, ...], settings: Mapping[str, str] = _NOTHING
) -> Iterator[Running]:
    with tempfile.NamedTemporaryFile(dir=bench.folder) as output:
        process = subprocess.Popen(  # noqa: S603 - the bench's own commands
            command,
            cwd=CHECKOUT,
            env={**bench.environment, **settings},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield Running(process.pid, Path(output.name))
            if process.poll() is not None:
                raise BenchError(f"{command[0]} ended:\n{Path(output.name).read_text()}")
        finally:
            process.terminate()
            process.wait()


def _wait_until(is_so: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + _PATIENCE_SECONDS
    while not is_so():
        if time.monotonic() > until:
            raise BenchError(f"not within {_PATIENCE_SECONDS:.0f} s: {what}")
        time.sleep(_LOOK_SECONDS)
