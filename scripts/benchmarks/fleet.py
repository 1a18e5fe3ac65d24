"""Devices of a fleet in one process, against clients written with AWS's SDK alone."""

import json
import sys
from collections.abc import Mapping
from typing import Final

from scripts.benchmarks.comparison import Figures, Quantity, Row, alternate, compare
from scripts.benchmarks.first_boot import bare_command
from scripts.benchmarks.workbench import open_workbench

_DEVICES: Final = 50
_QUANTITIES: Final = (
    Quantity("wall", "time a device, at once", "ms", aim=1 / 0.9),
    Quantity("memory", "memory a device, at work", "KiB"),
)
_SIDE: Final = ("-c", "from scripts.benchmarks.fleet_sides import main; main()")


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
                bench.make_devices(f"R{number}", _DEVICES, folder)
            words = [name, "--devices", str(folder), "--count", str(_DEVICES), *common]
            run = bench.measure(sys.executable, *_SIDE, *words, "--serial", f"BARE-{number}")
            figures: Figures = json.loads(run.output.strip().splitlines()[-1])
            return figures

        ours, theirs = alternate([lambda n: side("ours", n), lambda n: side("bare", n)], rounds)
    return {f"{_DEVICES} first boots, one process": compare(_QUANTITIES, ours, theirs)}
