"""Lint, format, types, security, generated documents: what needs no test run."""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

_PACKAGES: Final = (
    "advisor",
    "device",
    "factory",
    "fleet",
    "localcloud",
    "pytest_firstboot",
    "scripts",
)
_CHECKS: Final[Mapping[str, Sequence[str]]] = {
    "types": ("mypy", "--no-error-summary"),  # the longest is first: they run side by side
    "lint": ("ruff", "check", "--quiet"),
    "format": ("ruff", "format", "--check", "--quiet"),
    # Skipped: what ruff's S506 and S310 judge too, where each exception carries its reason.
    "security": ("bandit", "--quiet", "--recursive", "-ll", "--skip", "B310,B506", *_PACKAGES),
    "documents": ("scripts._docs", "--check"),
}

_AUDIT: Final[Mapping[str, Sequence[str]]] = {
    # Strict: a package of which the index knows nothing is not one without a known fault.
    "audit": ("pip_audit", "--strict", "--no-deps", "--disable-pip", "-r", "scripts/locked.txt"),
}
"""It asks the network, and pip-audit has to be installed: on request."""


def failures(checks: Mapping[str, Sequence[str]] = _CHECKS) -> list[str]:
    """Run every check, one a core, show what the failed ones say, and name them."""
    failed = []
    with ThreadPoolExecutor(os.cpu_count()) as processes:
        for name, words, (code, said, seconds) in zip(
            checks, checks.values(), processes.map(_outcome, checks.values()), strict=True
        ):
            _say(f"{name:<10} {'failed' if code else 'ok':<6} {seconds:4.1f} s  {' '.join(words)}")
            if code:
                _say(said)
                failed.append(name)
    return failed


def _outcome(words: Sequence[str]) -> tuple[int, str, float]:
    """Return the exit code of a check, what it said, and how many seconds it took."""
    started = time.monotonic()
    result = subprocess.run(  # noqa: S603 - our own interpreter and arguments
        [sys.executable, "-m", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return result.returncode, result.stdout.rstrip(), time.monotonic() - started


def _say(words: str) -> None:
    print(words, flush=True)  # noqa: T201 - this is a command


def main() -> int:
    """Run the checks; return 1 if one failed."""
    parser = argparse.ArgumentParser(
        prog="scripts/check", description=f"{__doc__} It takes some ten seconds."
    )
    parser.add_argument(
        "--audit",
        action="store_true",
        help="ask the network for known faults of the packages in scripts/locked.txt, too; "
        "needs pip-audit",
    )
    failed = failures({**_CHECKS, **(_AUDIT if parser.parse_args().audit else {})})
    _say(f"failed: {', '.join(failed)}" if failed else "all checks passed")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
