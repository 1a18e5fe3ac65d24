"""Two workers of Locust against one: the processor time of a worker for one device.

On a machine with two cores, which the local AWS needs as well, wall time says nothing about a
second worker. If a device costs a worker as much when there are two of them, then two workers with
a core each do twice as much as one. The start of Locust is not counted: each side runs few devices
and many, and the difference counts.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from pytest_firstboot.local_aws import free_ports
from scripts.benchmarks.comparison import Figures, Quantity, Row, alternate, compare
from scripts.benchmarks.processes import BenchError, RunFailedError
from scripts.benchmarks.workbench import CHECKOUT, Workbench, open_workbench

_FEW, _MANY = 20, 100
"""Devices of each worker."""
_QUANTITIES: Final = (Quantity("cpu", "processor time a device", "ms", aim=2 / 1.8),)
_MODULE: Final = "fleet.swarm"


def swarm(rounds: int) -> Mapping[str, list[Row]]:
    """Measure two workers and one, in turn.

    Raises:
        BenchError: a worker, the master or the set-up did not do its work.
    """
    if find_spec("locust") is None:
        raise BenchError("Locust is not installed; install it: pip install 'firstboot[fleet]'")
    with open_workbench() as bench:

        def side(workers: int, number: int) -> Figures:
            few, many = (_cpu(bench, workers, each, number) for each in (_FEW, _MANY))
            return {"cpu": (many - few) / (_MANY - _FEW) / workers * 1000}

        two, one = alternate([lambda n: side(2, n), lambda n: side(1, n)], rounds)
    return {"two workers, against one": compare(_QUANTITIES, two, one)}


def _cpu(bench: Workbench, workers: int, each: int, number: int) -> float:
    """Return the processor seconds of all workers that boot ``each`` devices a worker."""
    batch = f"S{number}-{workers}-{each}"
    place = bench.folder / batch
    place.mkdir()
    devices = place / "devices"
    bench.make_devices(batch, workers * each, devices)
    variables = {"FLEET_DEVICES": str(devices), "FLEET_WORKERS": str(workers)}
    port = str(free_ports()[0])
    at = ("--master-port", port, "--master-host", "127.0.0.1")
    bind = ("--master-bind-port", port, "--master-bind-host", "127.0.0.1")
    users = ("--expect-workers", str(workers), "-u", str(2 * workers), "-r", str(workers))
    master = ("--master", "--headless", "--only-summary", *bind, *users)
    words = [master, *[("--worker", *at)] * workers]
    processes = [_start(bench, place / str(n), line, variables) for n, line in enumerate(words)]
    spent = [_ended(process, place / str(n)) for n, process in enumerate(processes)]
    return sum(spent[1:])


def _start(
    bench: Workbench, folder: Path, words: tuple[str, ...], variables: Mapping[str, str]
) -> "subprocess.Popen[bytes]":
    folder.mkdir()
    environment = {**bench.environment, **bench.cloud, **variables, "PYTHONPATH": str(CHECKOUT)}
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", _MODULE, *words],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def _ended(process: "subprocess.Popen[bytes]", folder: Path) -> float:
    """Return the processor seconds of a process, once it has ended."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RunFailedError([_MODULE], process.returncode, (folder / "log").read_text())
    return usage.ru_utime + usage.ru_stime
