"""How long a test waits for what must come: long enough on any machine, so only a hang fails.

`tests/unit/test_suite_waits.py` finds the waits that have no such limit.
"""

import faulthandler
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any, AnyStr, Final

SECONDS: Final = 120


def join(*threads: threading.Thread) -> None:
    """Wait until ``threads`` have ended."""
    for thread in threads:
        thread.join(SECONDS)
        assert not thread.is_alive(), f"{thread.name} still runs after {SECONDS} s"


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait until ``condition`` holds; ``what`` says which one it is."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"after {SECONDS} s it is not yet so that {what}"
        time.sleep(0.005)  # another thread or process is awaited: there is no clock to hand in


@contextmanager
def killed_if_silent(process: "subprocess.Popen[Any]") -> Iterator[None]:
    """Kill ``process`` if the block takes too long, which ends every read of what it prints."""
    timer = threading.Timer(SECONDS, process.kill)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def line_from(process: "subprocess.Popen[AnyStr]", stream: IO[AnyStr] | None) -> AnyStr:
    """Return the next line that ``process`` prints to ``stream``, which is one of its pipes."""
    assert stream is not None
    with killed_if_silent(process):
        line = stream.readline()
    assert line, f"it ended, or said nothing for {SECONDS} s: {process.args!r}"
    return line


def allow(seconds: float) -> None:
    """Let this test take ``seconds`` before it counts as one that hangs (faulthandler_timeout)."""
    faulthandler.dump_traceback_later(seconds, exit=True, file=sys.__stderr__)
