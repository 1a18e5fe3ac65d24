"""Devices of a fleet in one process, against clients written with AWS's SDK alone, and growth."""

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import boto3

from scripts.benchmarks.comparison import Figures, Quantity, Row, alternate, compare
from scripts.benchmarks.first_boot import bare_command
from scripts.benchmarks.workbench import CHECKOUT, Workbench, local_aws, open_workbench

_DEVICES: Final = 50
_QUANTITIES: Final = (
    Quantity("wall", "time a device, at once", "ms", aim=1 / 0.9),
    Quantity("memory", "memory a device, at work", "KiB"),
)
_SIDE: Final = ("-c", "from scripts.benchmarks.fleet_sides import main; main()")
_FEW, _MANY, _SAMPLE = 100, 5000, 400
_GROWTH: Final = (
    Quantity("wall", "time a call", "ms", aim=1.1),
    Quantity("cpu", "its processor time", "ms", aim=1.1),
)


def fleet(rounds: int) -> Mapping[str, list[Row]]:
    """Provision many devices at once, and as many bare clients, in turn.

    Raises:
        BenchError: a side, or the set-up, did not do its work.
    """
    with open_workbench() as bench:
        bare = bare_command(bench)
        common = [each for each in bare[3:] if not each.startswith("from ")]

        def side(name: str, number: int) -> Figures:
            folder = bench.folder / f"fleet-{number}"
            if name == "ours":
                _make(bench, folder, number)
            words = [name, "--devices", str(folder), "--count", str(_DEVICES), *common]
            run = bench.measure(sys.executable, *_SIDE, *words, "--serial", f"BARE-{number}")
            figures: Figures = json.loads(run.output.strip().splitlines()[-1])
            return figures

        ours, theirs = alternate([lambda n: side("ours", n), lambda n: side("bare", n)], rounds)
    return {f"{_DEVICES} first boots, one process": compare(_QUANTITIES, ours, theirs)}


def _make(bench: Workbench, folder: Path, number: int) -> None:
    serials = bench.folder / f"{number}.csv"
    serials.write_text("serial\n" + "".join(f"R{number}-{each:04}\n" for each in range(_DEVICES)))
    listed = ("--serials", str(serials), "--batch", f"R{number}", "--out", str(folder))
    bench.call("factory", "make", "--method", "claim", *listed, *bench.station)


def growth(_: int) -> Mapping[str, list[Row]]:
    """Measure what a call costs the local AWS with few things in its registry, and with many.

    It is one run: the registry only grows.
    """
    with local_aws(CHECKOUT) as bench:
        iot = boto3.client(
            "iot",
            endpoint_url=bench.cloud["AWS_ENDPOINT_URL"],
            region_name=bench.cloud["AWS_DEFAULT_REGION"],
            aws_access_key_id=bench.cloud["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=bench.cloud["AWS_SECRET_ACCESS_KEY"],
        )
        record = json.loads((bench.folder / "cloud" / "server.json").read_text())
        process = Path("/proc", str(record["pid"]))
        _register(iot, 0, _FEW)
        few = _timed(iot, process, _FEW)
        _register(iot, _FEW + _SAMPLE, _MANY)
        many = _timed(iot, process, _MANY)
    title = f"CreateThing: {_MANY:,} things, {_FEW}"
    return {title: compare(_GROWTH, [many], [few])}


def _timed(iot: Any, process: Path, start: int) -> Figures:
    cpu, begun = _cpu(process), time.perf_counter()
    _register(iot, start, start + _SAMPLE)
    wall = time.perf_counter() - begun
    return {"wall": wall / _SAMPLE * 1000, "cpu": (_cpu(process) - cpu) / _SAMPLE * 1000}


def _register(iot: Any, start: int, end: int) -> None:
    for number in range(start, end):
        iot.create_thing(thingName=f"growth-{number}")


def _cpu(process: Path) -> float:
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
