"""Runs scripts/test on every Python from 3.11 on that this machine has, and says which.

Each gets an environment of its own, ``.venv-3.12`` and the like, from the same lock file.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from scripts._venv import ROOT, VARIABLE

_EXTRAS: Final = "factory,local,dev,fleet,foreign"
_OLDEST: Final = (3, 11)
_VERSION: Final = "import sys; print(*sys.version_info[:3])"
Version = tuple[int, int, int]


def main(arguments: list[str]) -> int:
    """Run the tests on each Python; return 1 if they failed on one."""
    parser = argparse.ArgumentParser(
        prog="scripts/pythons",
        description="Run scripts/test on every Python from 3.11 on that this machine has.",
        epilog="Arguments go to scripts/test, e.g. the tests to run.",
    )
    parser.add_argument("--list", action="store_true", help="only say which there are")
    options, rest = parser.parse_known_args(arguments)
    pythons = newest_of_each(_found())
    codes = {} if options.list else {each: _tested(each, pythons[each], rest) for each in pythons}
    for version, python in pythons.items():
        verdict = {None: "", 0: "passed"}.get(codes.get(version), "failed")
        print(f"{'.'.join(map(str, version)):<8} {verdict:<7} {python}".rstrip())  # noqa: T201
    return int(any(codes.values()))


def newest_of_each(found: Iterable[tuple[Version, Path]]) -> Mapping[Version, Path]:
    """Return the newest patch of each Python that is new enough, the oldest first."""
    newest: dict[tuple[int, int], tuple[Version, Path]] = {}
    for version, path in found:
        minor = version[:2]
        if minor >= _OLDEST and (minor not in newest or newest[minor][0] < version):
            newest[minor] = version, path
    return dict(newest[minor] for minor in sorted(newest))


def _found() -> Iterator[tuple[Version, Path]]:
    """Yield each Python on the PATH, and of pyenv."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    folders = [Path(each) for each in os.get_exec_path()] + list(pyenv.glob("versions/*/bin"))
    seen = set()
    for python in (path for folder in folders for path in folder.glob("python3*")):
        real = python.resolve()
        in_environment = (python.parent.parent / "pyvenv.cfg").exists()
        if real not in seen and not in_environment and "config" not in real.name:
            seen.add(real)
            if version := _version(real):
                yield version, real


def _version(python: Path) -> Version | None:
    try:
        done = subprocess.run(  # noqa: S603 - a Python of this machine
            [python, "-c", _VERSION], capture_output=True, text=True, check=True, timeout=60
        )
        major, minor, patch = map(int, done.stdout.split())
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return major, minor, patch


def _tested(version: Version, python: Path, arguments: list[str]) -> int:
    folder = ROOT / f".venv-{version[0]}.{version[1]}"
    environment = {**os.environ, VARIABLE: str(folder)}
    command = [str(python), str(ROOT / "scripts" / "_venv.py"), _EXTRAS, "_test", *arguments]
    return subprocess.run(command, env=environment, check=False).returncode  # noqa: S603


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
