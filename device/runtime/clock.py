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


def trusted_wall_time(clock: Clock) -> float | None:
    """Return the wall time, or None when the clock was plainly never set."""
    now = clock.wall()
    return now if now >= EARLIEST_PLAUSIBLE else None
