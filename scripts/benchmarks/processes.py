"""Runs one command as a new process and says what it cost.

Nothing here may load much: on Linux a child's peak memory never reads below what its parent
held when it started it.
"""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scripts.benchmarks.slow_cpu import hold_to

PATIENCE_SECONDS: Final = 60.0
_MAXRSS_UNIT: Final = 1 if sys.platform == "darwin" else 1024  # bytes; getrusage(2)
_MIB: Final = 2.0**20
_OUTPUT_TAIL: Final = 2000


class BenchError(Exception):
    """Nothing was measured."""


class RunFailedError(BenchError):
    """A command did not do its work."""

    def __init__(self, command: Sequence[str], exit_code: int, output: str) -> None:
        """Keep the end of what it printed."""
        said = output[-_OUTPUT_TAIL:].strip()
        super().__init__(f"{' '.join(command)} ended with {exit_code}:\n{said}")


@dataclass(frozen=True)
class Run:
    """What one process cost, from before its start to after its end."""

    wall: float
    """Seconds."""
    cpu: float
    """Seconds, user and system."""
    memory: float
    """Peak resident memory in MiB."""
    output: str
    """What it printed, both streams."""


def measure(
    command: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    share: float | None = None,
) -> Run:
    """Run ``command`` in ``folder``, on ``share`` of a core if that is given; return what it cost.

    Its output goes to a file, so that nobody has to wake up and read it meanwhile.

    Raises:
        RunFailedError: it did not end with 0, or not within a minute.
    """
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(  # noqa: S603 - the bench's own commands
            command,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        watchdog = threading.Timer(PATIENCE_SECONDS, os.kill, (process.pid, signal.SIGKILL))
        watchdog.start()
        is_over = threading.Event()
        if share is not None:
            threading.Thread(target=hold_to, args=(process.pid, share, is_over)).start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        is_over.set()
        watchdog.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode(errors="replace")
    if process.returncode:
        raise RunFailedError(command, process.returncode, text)
    memory = usage.ru_maxrss * _MAXRSS_UNIT / _MIB
    return Run(wall, usage.ru_utime + usage.ru_stime, memory, text)
