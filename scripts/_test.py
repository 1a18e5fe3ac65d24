"""Everything: the checks, then all tests, and the gate: of 100 lines, the tests run 95."""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from scripts import _browser, _check, _elements, _lines

_WORKERS: Final = 3 * (os.cpu_count() or 1)
"""Three a core: a device that was refused waits, and so does its test."""

_PARALLEL: Final = (
    f"--numprocesses={_WORKERS}",
    "--dist=loadfile",
    "--no-loadscope-reorder",
    "--max-worker-restart=0",
)
"""A file stays together, so that what its tests share is made once. The order is that of
tests/support/order.py."""

_LONG: Final = ("--long", "--hypothesis-seed=1")

_MEMORY: Final = Path("/dev/shm")  # noqa: S108 # nosec B108 - a folder of our own is made in it
_ENOUGH: Final = 2 << 30
"""Bytes; a run leaves a few hundred million."""


def main(arguments: list[str]) -> int:
    """Run the checks and pytest; return 0 if all of it passed."""
    all_of_it, options = plan(arguments)
    if not all_of_it:
        return _pytest(options)
    _elements.provide()
    _browser.provide()
    failed = _check.failures()
    if not (is_measured := _lines.CAN_MEASURE):
        print("Which lines the tests run is not measured here: slipcover is missing.")  # noqa: T201
    with (
        folders_in_memory(_MEMORY, _ENOUGH) as variables,
        tempfile.TemporaryDirectory(prefix="fb-lines-") as lines,
    ):
        tests = _pytest(options, {**variables, _lines.VARIABLE: lines if is_measured else ""})
        if is_measured and not tests:  # else the lines after a failed test are missing, too
            failed += below(_lines.GATE, _lines.percentage(Path(lines)))
    if failed:
        print(f"All tests were run, and these checks failed: {', '.join(failed)}")  # noqa: T201
    return verdict(tests, failed)


def below(gate: float, percentage: float) -> list[str]:
    """Return the name of the gate, if the tests run less of the product than it asks for."""
    return [] if percentage >= gate else [f"coverage ({percentage:.2f} %, not {gate:.0f} %)"]


def plan(arguments: list[str]) -> tuple[bool, list[str]]:
    """Return whether all of it is to run, and the options for pytest."""
    options, rest = _parser().parse_known_args(arguments)
    chosen = [*(_LONG if options.long else ()), *rest]
    all_of_it = all(each.startswith("-") for each in rest)
    return all_of_it, [*_PARALLEL, *chosen] if all_of_it else chosen


def verdict(tests: int, failed: list[str]) -> int:
    """Return the exit code, from that of pytest and the names of the checks that failed."""
    return tests or int(bool(failed))


@contextmanager
def folders_in_memory(memory: Path, enough: int) -> Iterator[Mapping[str, str]]:
    """Yield what pytest is to be told of where its folders go: in ``memory``, or nothing.

    The tests sync thousands of small files, which in memory costs nothing. Where there are not
    ``enough`` bytes, as in many a container, or no such folder, they go where they always go.
    """
    if not os.access(memory, os.W_OK) or shutil.disk_usage(memory).free < enough:
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix="fb-", dir=memory) as folder:
        yield {"PYTEST_DEBUG_TEMPROOT": folder}


def with_bytecode(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which Python keeps what it compiled, in .venv.

    Else each worker, and each of some hundred commands that tests start, compiles it all again.
    """
    kept = {"PYTHONPYCACHEPREFIX": str(Path(sys.prefix) / "bytecode"), **environment}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return kept


def _pytest(arguments: list[str], variables: Mapping[str, str] | None = None) -> int:
    command = [sys.executable, "-m", "pytest", *arguments]
    environment = {**with_bytecode(os.environ), **(variables or {})}
    return subprocess.run(  # noqa: S603 - our own interpreter
        command, env=environment, check=False
    ).returncode


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/test",
        description="All checks (scripts/check) and all tests: some six minutes on two cores.",
        usage="%(prog)s [-h] [--long] [pytest's arguments ...]",
        epilog="Arguments go to pytest. If they name tests (tests/unit, -k expiry), only those "
        "run, one after the other, without checks.",
    )
    parser.add_argument(
        "--long",
        action="store_true",
        help="run the tests marked long too, and search all of what the others sample",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
