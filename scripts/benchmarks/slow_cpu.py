"""A slow processor: one process gets a share of a core, as with ``cpulimit``.

It is stopped (SIGSTOP) when it has used its share and goes on (SIGCONT) when time has caught up. So
it needs neither root nor control groups. What waits for the network or the disk costs nothing.
"""

import os
import signal
import time
from contextlib import suppress
from threading import Event
from typing import Final

_LOOK_SECONDS: Final = 0.002
_AHEAD_SECONDS: Final = 0.02
"""Processor time that may be used at once: a fifth of a tenth of a second, as cpu.max has it."""
_WHOLE_PROCESS: Final = 2  # CPUCLOCK_SCHED, in the clock's number; clock_getcpuclockid(3)


def hold_to(pid: int, share: float, is_over: Event) -> None:
    """Hold the process ``pid`` to ``share`` of a core until ``is_over``; for a thread."""
    with suppress(OSError):  # it has ended
        process = os.pidfd_open(pid)
        try:
            _hold(process, _clock_of(pid), share, is_over)
        finally:
            os.close(process)


def _hold(process: int, clock: int, share: float, is_over: Event) -> None:
    free_since = time.monotonic()
    spent = time.clock_gettime(clock)
    while not is_over.wait(_LOOK_SECONDS):
        used, now = time.clock_gettime(clock) - spent, time.monotonic()
        ahead = used - share * (now - free_since)
        if ahead < 0.0:  # what is not used is not saved
            free_since, spent = now, spent + used
        elif ahead > _AHEAD_SECONDS:
            signal.pidfd_send_signal(process, signal.SIGSTOP)
            is_over.wait(ahead / share)
            signal.pidfd_send_signal(process, signal.SIGCONT)


def _clock_of(pid: int) -> int:
    return (~pid << 3) | _WHOLE_PROCESS
