"""Everything: the checks, then all tests with the coverage gate."""

import argparse
import os
import subprocess
import sys
from typing import Final

from scripts import _browser, _check, _elements

_GATE: Final = ("--cov", "--cov-report=term-missing:skip-covered", "--cov-fail-under=95")
_WORKERS: Final = 2 * (os.cpu_count() or 1)
"""Two a core: a device that was refused waits, and so does its test."""

_PARALLEL: Final = (
    f"--numprocesses={_WORKERS}",
    "--dist=loadfile",
    "--no-loadscope-reorder",
    "--max-worker-restart=0",
)
"""A file stays together, so that what its tests share is made once. The order is that of
tests/conftest.py, the longest first."""

_LONG: Final = ("--long", "--hypothesis-seed=1")


def main(arguments: list[str]) -> int:
    """Run the checks and pytest; return 0 if all of it passed."""
    all_of_it, options = plan(arguments)
    if not all_of_it:
        return _pytest(options)
    _elements.provide()
    _browser.provide()
    failed = _check.failures()
    tests = _pytest(options)
    if failed:
        print(f"All tests were run, and these checks failed: {', '.join(failed)}")  # noqa: T201
    return verdict(tests, failed)


def plan(arguments: list[str]) -> tuple[bool, list[str]]:
    """Return whether all of it is to run, and the options for pytest."""
    options, rest = _parser().parse_known_args(arguments)
    chosen = [*(_LONG if options.long else ()), *rest]
    all_of_it = all(each.startswith("-") for each in rest)
    return all_of_it, [*_PARALLEL, *_GATE, *chosen] if all_of_it else chosen


def verdict(tests: int, failed: list[str]) -> int:
    """Return the exit code, from that of pytest and the names of the checks that failed."""
    return tests or int(bool(failed))


def _pytest(arguments: list[str]) -> int:
    command = [sys.executable, "-m", "pytest", *arguments]
    return subprocess.run(command, check=False).returncode  # noqa: S603 - our own interpreter


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/test",
        description="All checks (scripts/check), all tests, and the coverage gate: some minutes.",
        usage="%(prog)s [-h] [--long] [pytest's arguments ...]",
        epilog="Arguments go to pytest. If they name tests (tests/unit, -k expiry), only those "
        "run, one after the other, without checks and gate.",
    )
    parser.add_argument(
        "--long",
        action="store_true",
        help="run the tests marked long too, and search all of what the others sample",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
