"""Lint, format, types, security, generated documents: what needs no test run."""

import argparse
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
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
    "lint": ("ruff", "check", "--quiet"),
    "format": ("ruff", "format", "--check", "--quiet"),
    "types": ("mypy", "--no-error-summary"),
    # Skipped: what ruff's S506 and S310 judge too, where each exception carries its reason.
    "security": ("bandit", "--quiet", "--recursive", "-ll", "--skip", "B310,B506", *_PACKAGES),
    "documents": ("scripts._docs", "--check"),
}


def failures(checks: Mapping[str, Sequence[str]] = _CHECKS) -> list[str]:
    """Run every check, show what the failed ones say, and name them."""
    failed = []
    for name, words in checks.items():
        started = time.monotonic()
        result = subprocess.run(  # noqa: S603 - our own interpreter and arguments
            [sys.executable, "-m", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        verdict = "failed" if result.returncode else "ok"
        _say(f"{name:<10} {verdict:<6} {time.monotonic() - started:4.1f} s  {' '.join(words)}")
        if result.returncode:
            _say(result.stdout.rstrip())
            failed.append(name)
    return failed


def _say(words: str) -> None:
    print(words, flush=True)  # noqa: T201 - this is a command


def main() -> int:
    """Run the checks; return 1 if one failed."""
    argparse.ArgumentParser(
        prog="scripts/check", description=f"{__doc__} It takes some ten seconds."
    ).parse_args()
    failed = failures()
    _say(f"failed: {', '.join(failed)}" if failed else "all checks passed")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
