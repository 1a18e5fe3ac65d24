"""How long a command takes that does next to nothing, against an interpreter that does nothing."""

import sys
from collections.abc import Mapping
from functools import partial
from typing import Final

from scripts.benchmarks.comparison import Figures, Quantity, Row, Side, alternate, compare
from scripts.benchmarks.workbench import CHECKOUT, Workbench, device_command, open_workbench

_AIMS: Final = {"device --version": 2.0, "device status": 5.0}


def cold_start(rounds: int) -> Mapping[str, list[Row]]:
    """Measure ``python -c pass``, then each command in the same round; return the rows.

    Raises:
        BenchError: a command, or the set-up, did not do its work.
    """
    with open_workbench() as bench:
        state = str(bench.make_device("COLD"))
        config = str(CHECKOUT / "config/claim.yaml")
        bench.measure(*device_command(), "boot", "--state", state, "--config", config)
        commands = {
            "device --version": (*device_command(), "--version"),
            "device status": (*device_command(), "status", "--state", state),
        }
        idle = (sys.executable, "-c", "pass")
        sides = [_side(bench, command) for command in (idle, *commands.values())]
        yardstick, *runs = alternate(sides, rounds)
    return {
        name: compare(_quantities(_AIMS[name]), found, yardstick)
        for name, found in zip(commands, runs, strict=True)
    }


def _side(bench: Workbench, command: tuple[str, ...]) -> Side:
    return partial(_figures, bench, command)


def _figures(bench: Workbench, command: tuple[str, ...], _: int) -> Figures:
    run = bench.measure(*command)
    return {"wall": run.wall, "cpu": run.cpu}


def _quantities(aim: float) -> tuple[Quantity, ...]:
    return (
        Quantity("wall", "wall time", "s", aim),
        Quantity("cpu", "CPU time", "s"),
    )
