"""The first boot of a device by every method, beside that by claim.

What the station does beforehand is not counted. What the device waits for is: a just-in-time
device waits until AWS IoT has registered it, and tries again with jitter. A trusted user's
claim lies ready, since how long a person takes says nothing about the device.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from scripts.benchmarks.comparison import Figures, Quantity, Row, alternate, compare
from scripts.benchmarks.workbench import Workbench, device_command, open_workbench
from scripts.demonstration.methods import METHODS, Method

QUANTITIES: Final = (
    Quantity("wall", "wall time, whole process", "s"),
    Quantity("cpu", "CPU time", "s"),
    Quantity("memory", "peak memory", "MiB"),
)
_YARDSTICK: Final = "claim"


def methods(rounds: int) -> Mapping[str, list[Row]]:
    """Measure the claim method, and every other one in the same round; return the rows.

    Raises:
        BenchError: a boot, or the set-up, did not do its work.
    """
    beside = [each for each in METHODS.values() if not each.signs_for_all]
    with open_workbench() as bench:
        for method in beside:
            bench.prepare(method.name)
        sides = [partial(_first_boot, bench, method) for method in beside]
        runs_of = zip(beside, alternate(sides, rounds), strict=True)
        found = {method.name: runs for method, runs in runs_of}
    yardstick = found.pop(_YARDSTICK)
    return {name: compare(QUANTITIES, runs, yardstick) for name, runs in found.items()}


def _first_boot(bench: Workbench, method: Method, number: int) -> Figures:
    state = _MAKERS.get(method.name, _make)(bench, method, f"{method.name}-{number}")
    options = ["--state", str(state)]
    if method.waits_for_claim:
        place = str(state.with_suffix(".json"))
        bench.call("factory", "claim", "--trusted-user", "--to", place, *bench.station)
        options += ["--wait-for-claim", place]
    run = bench.measure(*device_command(), "boot", *options)
    return {"wall": run.wall, "cpu": run.cpu, "memory": run.memory}


def _make(bench: Workbench, method: Method, serial: str) -> Path:
    return bench.make_device(serial, method.name)


def _make_in_bulk(bench: Workbench, _: Method, batch: str) -> Path:
    folder = bench.folder / "devices"
    words = ("--batch", batch, "--count", "1", "--out", str(folder))
    bench.call("factory", "bulk", *words, *bench.station)
    return folder / f"{batch}-0001"


def _make_single(bench: Workbench, _: Method, serial: str) -> Path:
    state = bench.folder / "devices" / serial
    bench.call("factory", "single", "--serial", serial, "--out", str(state), *bench.station)
    return state


_MAKERS: Final[Mapping[str, Callable[[Workbench, Method, str], Path]]] = {
    "bulk": _make_in_bulk,
    "single-thing": _make_single,
}
"""For methods whose devices ``factory make`` would make as well, by the verb that is theirs."""
