"""Which lines of the product the tests run, for the gate of scripts/test.

SlipCover puts a probe at each line of a module that is imported. Up to Python 3.11 that costs a
fraction of what a trace function costs, which is called for each line of the libraries too; so all
tests are measured. coverage.py, which knows what a statement is, makes the report.
"""

import os
import runpy
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import coverage

VARIABLE: Final = "FIRSTBOOT_LINES"
"""The folder that each measured process of a run writes its lines to."""

GATE: Final = 95.0
"""Per cent of the statements."""

CAN_MEASURE: Final = find_spec("slipcover") is not None
"""Not on a Raspberry Pi with Python 3.11, for which nobody has built it (setup.cfg)."""

_ROOT: Final = Path(__file__).parents[1]
_SOURCES: Final = [_ROOT / name for name in ("advisor", "device", "factory", "localcloud")]
_NEVER: Final = 2_000_000_000
"""Hits of a probe until SlipCover takes it out, which it cannot do while other threads import."""


def measured_from_here() -> Callable[[], None]:
    """Measure what this process imports from now on; return what stores the lines that ran.

    That stores nothing where this is no worker of a run of everything. Where it is, a child of
    this process is measured only by `command`: to place the probes takes half of a second.
    """
    folder = os.environ.pop(VARIABLE, "") if "PYTEST_XDIST_WORKER" in os.environ else ""
    if not folder:
        return lambda: None
    _folders.append(folder)
    return _begin(Path(folder))


_folders: Final[list[str]] = []


def command(module: str) -> list[str]:
    """Return a command line for a module, which is measured if this process is."""
    if not _folders:
        return [sys.executable, "-m", module]
    return [sys.executable, "-P", __file__, _folders[0], module]


def percentage(folder: Path, sources: Sequence[Path] = _SOURCES) -> float:
    """Show the lines that no process of a run has run; return how many per cent were run."""
    stored = [str(each) for each in folder.glob("lines*")]
    if not stored:
        return 0.0
    found = coverage.Coverage(
        data_file=str(folder / "all"),
        config_file=str(_ROOT / "setup.cfg"),
        source=[str(each) for each in sources],
        messages=False,
    )
    found.combine(stored)
    every = [str(module) for each in sources for module in each.rglob("*.py")]
    found.get_data().touch_files(every)  # what no test imports is not run
    return found.report(show_missing=True, skip_covered=True)


def _begin(folder: Path) -> Callable[[], None]:
    import slipcover  # noqa: PLC0415 - may be missing

    probes = slipcover.Slipcover(d_miss_threshold=_NEVER)
    ours = slipcover.FileMatcher(sources=_SOURCES)
    if "_pytest" in sys.modules:  # it loads installed packages itself, for their assertions
        slipcover.wrap_pytest(probes, ours)
    slipcover.ImportManager(probes, ours).__enter__()

    def store() -> None:
        data = coverage.CoverageData(basename=str(folder / "lines"), suffix=True)
        found = probes.get_coverage()["files"]
        data.add_lines({str(_ROOT / name): each["executed_lines"] for name, each in found.items()})
        data.write()

    return store


def _main(folder: str, module: str, *arguments: str) -> None:
    """Run a module as ``python -m`` does, measured."""
    store = _begin(Path(folder))
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        store()


if __name__ == "__main__":
    _main(*sys.argv[1:])
