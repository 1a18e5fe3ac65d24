"""What time it is, and whether the device can know that."""

import time
from typing import Final, Protocol

EARLIEST_PLAUSIBLE: Final = 1_767_225_600.0  # 2026-01-01: this firmware is not older
"""A wall clock before this was never set; a device without a battery starts in 1970."""


class Clock(Protocol):
    """The two clocks of a device."""

    def wall(self) -> float:
        """Return seconds since the epoch; may be wrong, may jump."""
        ...

    def monotonic(self) -> float:
        """Return seconds since some moment; never goes back."""
        ...


class SystemClock:
    """The clocks of the machine the firmware runs on."""

    def wall(self) -> float:
        """Return seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds since some moment."""
        return time.monotonic()


def trusted_wall_time(clock: Clock, *known: float | None) -> float | None:
    """Return what time it is at least; None when the clock was never set and nothing is known.

    ``known`` are moments that have passed for certain, whatever our clock says: when the station
    made the device, and from when a certificate is valid that came over a verified connection.
    """
    now = clock.wall()
    readings = [now] if now >= EARLIEST_PLAUSIBLE else []
    return max((*readings, *filter(None, known)), default=None)


def has_certainly_expired(not_after: float, *known: float | None) -> bool:
    """Whether ``not_after`` lies before a moment that has passed for certain.

    Our own clock is not asked: it may be ahead, and then it would refuse what AWS takes.
    """
    return any(moment is not None and moment > not_after for moment in known)
