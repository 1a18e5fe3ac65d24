"""Renews the lock file: the newest versions that setup.cfg allows, as one environment has them.

The environment of ``scripts/`` is made from the lock file, so that it is the same years from now;
a wheel keeps the ranges of setup.cfg.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from scripts._venv import LOCK, ROOT, Environment, EnvironmentNotMadeError

_EXTRAS: Final = {"factory", "local", "dev", "fleet", "foreign"}
_HEAD: Final = """\
# The versions that the suite passed with: scripts/ installs these. Renew them with scripts/lock,
# run scripts/test, and commit this file.
"""


def main(arguments: list[str]) -> None:
    """Make an environment with the newest versions, and write them down."""
    argparse.ArgumentParser(
        prog="scripts/lock", description="Renew scripts/locked.txt with the newest versions."
    ).parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        environment = Environment(ROOT, Path(folder, "venv"))
        environment.make()
        environment.install(_EXTRAS, locked=False)
        found = _installed(environment)
    Path(ROOT, LOCK).write_text(_HEAD + found)
    print(f"{LOCK}: {found.count('==')} versions. Next: scripts/test")  # noqa: T201 - a command


def _installed(environment: Environment) -> str:
    command = [str(environment.python), "-m", "pip", "freeze", "--all", "--exclude", "pip"]
    command.append("--exclude-editable")
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - ours
    return done.stdout


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except EnvironmentNotMadeError as error:
        sys.exit(f"{error}\nnext: {error.next_step}")
