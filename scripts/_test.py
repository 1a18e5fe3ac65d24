"""Everything: the checks, then all tests with the coverage gate."""

import argparse
import os
import subprocess
import sys
from typing import Final

from scripts import _browser, _check, _elements

_GATE: Final = ("--cov", "--cov-report=term-missing:skip-covered", "--cov-fail-under=95")
_WORKERS: Final = 1 + (os.cpu_count() or 1)
"""One more than cores: a device that was refused waits, and so does its test."""

_PARALLEL: Final = (f"--numprocesses={_WORKERS}", "--dist=worksteal")


def main(arguments: list[str]) -> int:
    """Run the checks and pytest; return 0 if all of it passed."""
    _, rest = _parser().parse_known_args(arguments)
    if any(not each.startswith("-") for each in rest):
        return _pytest(rest)
    _elements.provide()
    _browser.provide()
    failed = _check.failures()
    exit_code = _pytest([*_PARALLEL, *_GATE, *rest])
    if failed:
        print(f"All tests were run, and these checks failed: {', '.join(failed)}")  # noqa: T201
    return exit_code or int(bool(failed))


def _pytest(arguments: list[str]) -> int:
    command = [sys.executable, "-m", "pytest", *arguments]
    return subprocess.run(command, check=False).returncode  # noqa: S603 - our own interpreter


def _parser() -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        prog="scripts/test",
        description="All checks (scripts/check), all tests, and the coverage gate: some minutes.",
        usage="%(prog)s [-h] [pytest's arguments ...]",
        epilog="Arguments go to pytest. If they name tests (tests/unit, -k expiry), only those "
        "run, one after the other, without checks and gate.",
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
