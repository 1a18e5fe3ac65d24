"""Plants bugs in a copy of the device, one at a time, and has the world find them.

It prints the seed that found each, and the accidents without which nothing would have been seen.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.world.bugs import Bug

_ROOT: Final = Path(__file__).parents[1]
_COPIED: Final = ("device", "scripts", "tests", "config", "certs")


def main() -> int:
    """Plant every bug; return 1 if one was not found."""
    parser = argparse.ArgumentParser(prog="scripts/world-bugs", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0, help="how long one is searched")
    parser.add_argument("--only", default="", help="bugs whose name has these words")
    parser.add_argument("--unshrunk", action="store_true", help="name the seeds alone")
    options = parser.parse_args()
    from tests.world.bugs import BUGS  # noqa: PLC0415 - --help needs no device

    chosen = [bug for bug in BUGS if options.only in bug.name]
    found = [_is_found(bug, options.seconds, options.unshrunk) for bug in chosen]
    print(f"{sum(found)} of {len(found)} found")  # noqa: T201 - a command
    return int(not all(found))


def _is_found(bug: "Bug", seconds: float, unshrunk: bool) -> bool:  # noqa: FBT001 - an option
    said = search_for(bug, seconds, *(["--unshrunk"] if unshrunk else []))
    print(f"{bug.place}: {bug.name}\n{said}", flush=True)  # noqa: T201 - a command
    return said.startswith("seed ")


def search_for(bug: "Bug", seconds: float, *options: str) -> str:
    """Return what the world says of a copy with ``bug``, after ``seconds`` of a core at most."""
    with tempfile.TemporaryDirectory() as folder:
        for name in _COPIED:
            shutil.copytree(_ROOT / name, Path(folder, name), ignore=_not_needed)
        plant(bug, Path(folder))
        return _search(Path(folder), seconds, *options)


def plant(bug: "Bug", checkout: Path) -> None:
    """Change the device in ``checkout``.

    Raises:
        ValueError: the code is no longer what the bug changes.
    """
    path = checkout / "device" / bug.path
    text = path.read_text(encoding="utf-8")
    if text.count(bug.was) != 1:
        raise ValueError(f"{bug.path} does not have once: {bug.was}")
    path.write_text(text.replace(bug.was, bug.becomes), encoding="utf-8")


def _search(checkout: Path, seconds: float, *options: str) -> str:
    command = [sys.executable, "-m", "scripts._world", "--first", "--seconds", str(seconds)]
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    done = subprocess.run(  # noqa: S603 - our own interpreter and arguments
        [*command, *options],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=checkout,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith(("seed ", "  "))]
    return "\n".join(lines) or f"  not found: {done.stdout[-300:]} {done.stderr[-600:]}"


def _not_needed(_: str, names: list[str]) -> set[str]:
    return {"__pycache__"} & set(names)


if __name__ == "__main__":
    sys.exit(main())
