"""A local AWS and a shell, in a scratch folder that looks like a checkout."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from localcloud.process import lifecycle
from localcloud.process.state_folder import StateFolder
from pytest_firstboot.local_aws import free_ports
from scripts.recording.page import CHECKOUT, RecordingError

_FOREIGN: Final = ("AWS_", "DEVICE_")
_PATIENCE_SECONDS: Final = 120.0
_MOMENT: Final = 0.02
_PROVISIONING_ALONE: Final = {
    f"DEVICE_{task}__ENABLED": "no" for task in ("SHADOW", "JOBS", "COMMANDS")
}
"""What `device run` does after the first boot comes in any order, and is on a page of its own."""
_DONE: Final = "--- done:"


class Shell:
    """One shell, fed line by line: a variable that one line sets is there in the next."""

    def __init__(self, words: IO[str], answers: IO[str]) -> None:
        """Write ``words`` to a shell, both of whose output streams are ``answers``."""
        self._words = words
        self._answers = answers

    def run(self, line: str) -> str:
        """Run ``line`` and return what it printed.

        Raises:
            RecordingError: it ended with another exit code than 0.
        """
        self._words.write(f"{line}\necho '{_DONE}' $?\n")
        self._words.flush()
        said = ""
        for answer in self._answers:
            if answer.startswith(_DONE):
                if answer.split()[-1] != "0":
                    raise RecordingError(f"{line}\n{said}")
                return said
            said += answer
        raise RecordingError(f"the shell ended in: {line}\n{said}")


@dataclass(frozen=True)
class Stage:
    """Where the commands of a page are played."""

    folder: Path
    environment: Mapping[str, str]
    """Of a user's shell, with the local AWS in it."""

    def admin(self, method: str, path: str, document: object = None) -> Any:
        """Call an admin path of the local AWS."""
        state = StateFolder(self.folder / ".firstboot" / "cloud")
        return lifecycle.call(state, method, path, document)

    def clear(self) -> None:
        """Forget the page before: its station, and what the cloud knows.

        Its devices stay, as a reader's do: a page that uses the serial number of another one fails.
        """
        self.admin("POST", "reset")
        self.admin("PUT", "settings", {"jitp_seconds": 0.2, "wire_contents": True})
        shutil.rmtree(self.folder / ".firstboot" / "station", ignore_errors=True)

    @contextmanager
    def shell(self) -> Iterator[Shell]:
        """Open a shell in the scratch folder; what it left running ends with it."""
        with subprocess.Popen(
            ["/bin/sh"],
            cwd=self.folder,
            env=dict(self.environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
        ) as process:
            impatience = threading.Timer(_PATIENCE_SECONDS, _end, [process])
            impatience.start()
            try:
                if process.stdin and process.stdout:
                    yield Shell(process.stdin, process.stdout)
            finally:
                impatience.cancel()
                _end(process)


@contextmanager
def open_stage(programs: Path = Path(sys.executable).parent) -> Iterator[Stage]:
    """Start a local AWS on free ports; all of it is gone afterwards.

    ``programs`` is the folder of the commands ``factory``, ``device`` and ``localcloud``.

    Raises:
        RecordingError: the local AWS did not start.
    """
    with tempfile.TemporaryDirectory(prefix="firstboot-page-") as name:
        folder = Path(name)
        (folder / "config").symlink_to(CHECKOUT / "config")
        stage = Stage(folder, _user_environment(programs))
        ports = [
            f"--{kind}-port {port}"
            for kind, port in zip(("api", "mqtt"), free_ports(), strict=True)
        ]
        with stage.shell() as shell:
            shell.run(f"localcloud up --detach {' '.join(ports)}")
            cloud = json.loads(shell.run("localcloud env --json"))
        try:
            yield Stage(folder, {**stage.environment, **cloud})
        finally:
            with stage.shell() as shell:
                shell.run("localcloud down")


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    """Wait for something that a command in the background does.

    Raises:
        RecordingError: it never came.
    """
    give_up = time.monotonic() + _PATIENCE_SECONDS
    while not is_so():
        if time.monotonic() > give_up:
            raise RecordingError(f"never came: {what}")
        time.sleep(_MOMENT)


def _end(shell: "subprocess.Popen[str]") -> None:
    """End a shell and what it started, unless it has ended by itself."""
    with suppress(ProcessLookupError):
        os.killpg(shell.pid, signal.SIGTERM)


def _user_environment(programs: Path) -> Mapping[str, str]:
    """Return the environment of a shell in which .venv is active, without the caller's accounts."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(_FOREIGN)}
    path = f"{programs}:{os.environ['PATH']}"
    kept |= _PROVISIONING_ALONE
    return {**kept, "PATH": path, "PYTHONPATH": str(CHECKOUT), "NO_PROXY": "localhost,127.0.0.1"}
