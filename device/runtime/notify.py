"""Tells systemd how the device is: ready, alive, stopping, and in words what it does.

Own code, since the protocol is one datagram a message and a library would be one more thing to
install on a Pi. Source: sd_notify(3), sd_watchdog_enabled(3).
"""

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

_MICROSECONDS: Final = 1_000_000
_PINGS_A_PERIOD: Final = 3
"""sd_watchdog_enabled(3) asks for two; one may be late on a busy Pi."""


class ServiceManager:
    """The unit's manager; without one, every call does nothing."""

    def __init__(self, environment: Mapping[str, str], pid: int | None = None) -> None:
        """Read ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID`` from ``environment``."""
        self._address: Final = _address(environment.get("NOTIFY_SOCKET", ""))
        self.ping_interval: Final = _ping_interval(environment, pid or os.getpid())
        """Seconds between two signs of life, or None if no watchdog is set."""
        self._last_ping: float | None = None

    def ready(self) -> None:
        """Say that the device is at work: units that come after it may start."""
        self._tell("READY=1")

    def stopping(self) -> None:
        """Say that the device ends because it was asked to."""
        self._tell("STOPPING=1")

    def status(self, words: str) -> None:
        """Say in one line what the device does; ``systemctl status`` shows it."""
        self._tell(f"STATUS={' '.join(words.split())}")

    def alive(self, now: float) -> None:
        """Give a sign of life if one is due at ``now``, in seconds of a monotonic clock."""
        if self.ping_interval is None:
            return
        if self._last_ping is None or now - self._last_ping >= self.ping_interval:
            self._last_ping = now
            self._tell("WATCHDOG=1")

    def _tell(self, message: str) -> None:
        if self._address is None:
            return
        # A manager that does not listen is no reason for a device to stop.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(0)
            sender.sendto(message.encode(), self._address)


def _address(named: str) -> str | None:
    """Return the socket's address: a path, or with ``@`` an abstract name."""
    if named.startswith("@"):
        return "\0" + named[1:]
    return named if named.startswith("/") else None


def _ping_interval(environment: Mapping[str, str], pid: int) -> float | None:
    microseconds = environment.get("WATCHDOG_USEC", "")
    is_for_us = environment.get("WATCHDOG_PID", str(pid)) == str(pid)
    if not (is_for_us and microseconds.isascii() and microseconds.isdecimal()):
        return None
    seconds = int(microseconds) / _MICROSECONDS
    return seconds / _PINGS_A_PERIOD if seconds else None
