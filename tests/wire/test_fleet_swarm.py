"""Locust: a master and two workers, each with devices of its own."""

import csv
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from secrets import token_hex

import pytest

from factory import Registry, Station
from tests.support.hang import SECONDS
from tests.wire.conftest import free_ports

pytestmark = [pytest.mark.wire, pytest.mark.long]

WORKERS = 2


@pytest.fixture
def devices(tmp_path: Path, station: Station) -> Path:
    """A folder with the folders of devices that were made, and not booted."""
    batch = token_hex(3).upper()
    station.prepare("claim")
    for serial in (f"SWARM-{batch}-{number:02}" for number in range(10)):
        station.make("claim", serial, tmp_path / "devices" / serial)
    return tmp_path / "devices"


@contextmanager
def started(
    *words: str, cwd: Path, variables: Mapping[str, str]
) -> Iterator["subprocess.Popen[bytes]"]:
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": root, **variables}
    with (cwd / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "fleet.swarm", *words],
            cwd=cwd, env=environment, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.kill()
            process.wait(SECONDS)


@contextmanager
def swarm(
    tmp_path: Path, devices: Path, scenario: str
) -> Iterator[list["subprocess.Popen[bytes]"]]:
    """Start a master and two workers; the master is the first."""
    port = str(free_ports().api)
    variables = {
        "FLEET_DEVICES": str(devices), "FLEET_WORKERS": str(WORKERS),
        "FLEET_DEVICES_A_USER": "3", "FLEET_SCENARIO": scenario,
    }  # fmt: skip
    ours = ["--master", "--headless", "--expect-workers", str(WORKERS), "-u", "2", "-r", "2"]
    ours += [
        "--master-bind-host",
        "127.0.0.1",
        "--master-bind-port",
        port,
        "-t",
        f"{SECONDS:.0f}s",
        "--only-summary",
    ]
    theirs = ["--worker", "--master-host", "127.0.0.1", "--master-port", port]
    with ExitStack() as stack:
        processes = []
        for number, words in enumerate((ours, theirs, theirs)):
            cwd = tmp_path / f"process-{number}"
            cwd.mkdir()
            running = started(*words, cwd=cwd, variables=variables)
            processes.append(stack.enter_context(running))
        yield processes


def rows_of(tmp_path: Path) -> dict[str, dict[str, str]]:
    with (tmp_path / "process-0" / "fleet-devices.csv").open(newline="") as file:
        return {row["serial"]: row for row in csv.DictReader(file)}


def test_two_workers_provision_every_device_once(
    tmp_path: Path, devices: Path, cloud: Registry
) -> None:
    with swarm(tmp_path, devices, "first-boot") as processes:
        codes = [process.wait(SECONDS) for process in processes]
    words = (tmp_path / "process-0" / "log").read_text()
    rows = rows_of(tmp_path)
    assert codes == [0, 0, 0], words
    serials = sorted(each.name for each in devices.iterdir())
    assert sorted(rows) == serials
    assert {row["worker"] for row in rows.values()} == {"0", "1"}
    attached = {name: [each.id for each in cloud.thing(name).certificates] for name in serials}
    assert attached == {name: [row["certificate_id"]] for name, row in rows.items()}
    assert "first boot" in words


def test_the_devices_of_a_worker_that_dies_are_named(tmp_path: Path, devices: Path) -> None:
    with swarm(tmp_path, devices, "steady") as processes:
        # Where workers are slow, Locust says that it does not wait for their reports.
        spawned = re.compile("All users spawned|Spawning is complete")
        wait_for_line(tmp_path / "process-0" / "log", spawned, processes[0])
        processes[1].kill()
        processes[1].wait(SECONDS)
        processes[0].send_signal(signal.SIGINT)
        assert processes[0].wait(SECONDS) == 1
    problems = {row["serial"]: row["problem"] for row in rows_of(tmp_path).values()}
    assert sum(words.startswith("not heard of") for words in problems.values()) >= 5


def wait_for_line(log: Path, words: re.Pattern[str], process: "subprocess.Popen[bytes]") -> None:
    """Read the log until ``words`` are in it."""
    while words.search(log.read_text()) is None:
        assert process.poll() is None, log.read_text()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.2)
