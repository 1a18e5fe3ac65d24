"""Makes the virtual environment that a script needs, and runs the script in it.

Run by ``scripts/_launch`` with any Python from 3.11 on and nothing installed: standard
library only. The stamp in ``.venv`` says what it was made from and what was put into it; it is
taken away first and written last, so an environment without one is half-made.
"""

import fcntl
import hashlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
LOCK: Final = Path("scripts", "locked.txt")
"""The versions that the suite passed with; ``scripts/lock`` renews it."""
VARIABLE: Final = "FIRSTBOOT_VENV"
"""Names another folder than .venv, so that scripts/pythons has one for each Python."""
_MADE_FROM: Final = (Path("setup.cfg"), Path("pyproject.toml"), LOCK)
_PIP: Final = ("-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet")
# The default editable install is an import hook, which costs each start 20 ms; this is a path.
_EDITABLE: Final = ("--config-settings", "editable_mode=compat", "--editable")
_REASON: Final = re.compile(r"^\s*(?:ERROR|WARNING: Retrying).*", re.MULTILINE)
_LINES: Final = 6


class EnvironmentNotMadeError(Exception):
    """There is no virtual environment to run in."""

    def __init__(self, problem: str, next_step: str) -> None:
        """Say what is wrong and what to do about it."""
        super().__init__(problem)
        self.next_step = next_step


class Environment:
    """The virtual environment of one checkout."""

    def __init__(self, checkout: Path, path: Path | None = None) -> None:
        """Name it, in ``path`` instead of ``.venv``; nothing is made yet."""
        self.checkout = checkout
        self.path = path or checkout / ".venv"
        self.python = self.path / "bin" / "python"
        self._stamp = self.path / "firstboot.json"

    def due(self, extras: set[str]) -> set[str]:
        """Return the extras to install now, so that ``extras`` are there: none if all is well.

        Raises:
            LookupError: it is missing, half-made, damaged, moved, or of another Python.
        """
        try:
            stamp = json.loads(self._stamp.read_bytes())
            is_whole = set(stamp["files"]) <= self._files() and os.access(self.python, os.X_OK)
            if not is_whole or stamp["base"] != self._base():
                raise LookupError("damaged, or moved")
            installed = set(stamp["extras"])
            is_current = stamp["made_from"] == self._made_from() and extras <= installed
        except (OSError, ValueError, TypeError) as error:
            raise LookupError("half-made") from error
        return set() if is_current else extras | installed

    def make(self) -> None:
        """Make it again, with pip and nothing else in it.

        Raises:
            EnvironmentNotMadeError: this Python cannot.
        """
        if importlib.util.find_spec("ensurepip") is None:
            version = f"{sys.version_info.major}.{sys.version_info.minor}"
            raise EnvironmentNotMadeError(
                f"{sys.executable} cannot make virtual environments: it has no ensurepip",
                f"Debian, Ubuntu: sudo apt install python{version}-venv; or name another Python: "
                "PYTHON=/path/to/python3 and the same command.",
            )
        _run([sys.executable, "-m", "venv", "--clear", str(self.path)], "Is the disk full?")

    def install(self, extras: set[str], *, locked: bool = True) -> None:
        """Install the checkout, editable, with ``extras``; the stamp is written last.

        ``locked``: in the versions that the lock file names, instead of the newest that fit.

        Raises:
            EnvironmentNotMadeError: pip could not.
        """
        self._stamp.unlink(missing_ok=True)
        wanted = f"{self.checkout}[{','.join(sorted(extras))}]"
        versions = ("--constraint", str(self.checkout / LOCK)) if locked else ()
        _run(
            [str(self.python), *_PIP, *versions, *_EDITABLE, wanted],
            "See that pip reaches a package index (proxy: HTTPS_PROXY; mirror: PIP_INDEX_URL), "
            "then run the same command again.",
        )
        stamp = {
            "base": self._base(),
            "made_from": self._made_from(),
            "extras": sorted(extras),
            "files": sorted(self._files()),
        }
        self._stamp.write_text(json.dumps(stamp))

    def _base(self) -> list[str]:
        """What an environment cannot survive a change of: the Python, and its own place."""
        return [f"{sys.version_info.major}.{sys.version_info.minor}", str(self.path)]

    def _made_from(self) -> str:
        contents = b"".join((self.checkout / name).read_bytes() for name in _MADE_FROM)
        return hashlib.sha256(contents).hexdigest()

    def _files(self) -> set[str]:
        """Name the packages and commands that are there."""
        packages = self.path / "lib" / f"python{self._base()[0]}" / "site-packages"
        found = {
            file.name for folder in (packages, self.python.parent) for file in folder.iterdir()
        }
        return found - {"__pycache__"}


def ensure(environment: Environment, extras: set[str]) -> None:
    """See that ``environment`` is whole and has ``extras``; say so if that takes time.

    Raises:
        EnvironmentNotMadeError: it cannot be made here.
    """
    if _has(environment, extras):
        return
    with _alone():
        started = time.monotonic()
        try:
            due = environment.due(extras)
        except LookupError:
            _say("Making .venv in this checkout, once: half a minute, most of it download.")
            environment.make()
            due = extras
        else:
            if not due:
                return  # someone else made it while this process waited
            _say(f"Bringing .venv up to date ({', '.join(sorted(due))}): some seconds.")
        environment.install(due)
        _say(f".venv is ready after {time.monotonic() - started:.0f} s.")


def _has(environment: Environment, extras: set[str]) -> bool:
    try:
        return not environment.due(extras)
    except LookupError:
        return False


@contextmanager
def _alone() -> Iterator[None]:
    """Let one process of this checkout at a time make the environment."""
    with Path(__file__).open("rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("Another script is making .venv: waiting for it.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        # If this process is killed, the pip that it leaves behind goes on holding the lock.
        os.set_inheritable(lock.fileno(), True)  # noqa: FBT003 - its only form
        yield


def _run(command: list[str], next_step: str) -> None:
    result = subprocess.run(  # noqa: S603 - our own interpreter and arguments
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        close_fds=False,
    )
    if result.returncode:
        said = result.stdout.strip().splitlines()
        reason = dict.fromkeys(line.strip() for line in _REASON.findall(result.stdout)) or said
        words = "\n  ".join(list(reason)[-_LINES:])
        problem = f"{' '.join(command[:4])} ended with {result.returncode}:\n  {words}"
        raise EnvironmentNotMadeError(problem, next_step)


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)  # noqa: T201 - this is a command


def main(arguments: list[str]) -> None:
    """Run ``EXTRAS MODULE [ARGUMENT ...]``: the module, in an environment with the extras."""
    extras, module, *rest = arguments
    named = os.environ.get(VARIABLE)
    environment = Environment(ROOT, Path(named) if named else None)
    python = str(environment.python)
    wanted = set(extras.split(","))
    if not {"-h", "--help"} & set(rest):
        try:
            ensure(environment, wanted)
        except EnvironmentNotMadeError as error:
            sys.exit(f"{error}\nnext: {error.next_step}")
        except KeyboardInterrupt:
            sys.exit("Stopped. The same command begins again.")
    elif not _has(environment, wanted):
        python = sys.executable
    os.chdir(ROOT)
    os.environ["PATH"] = f"{environment.python.parent}:{os.environ.get('PATH', os.defpath)}"
    os.execv(python, [python, "-m", f"scripts.{module}", *rest])  # noqa: S606 - no shell wanted


if __name__ == "__main__":
    main(sys.argv[1:])
