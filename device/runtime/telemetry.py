"""What the device measures of itself."""

import os
from pathlib import Path
from typing import Final

import msgspec

from device.runtime.clock import Clock

_THERMAL: Final = Path("/sys/class/thermal/thermal_zone0/temp")


class Reading(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One telemetry message."""

    sequence: int
    """Counts from 1 at each start; a gap is a message that was lost."""
    uptime: float
    """Seconds since the firmware started."""
    time: float
    """Seconds since the epoch, by the device's clock."""
    load: float | None = None
    """Processes that wanted to run, averaged over a minute."""
    temperature: float | None = None
    """Degrees Celsius of the processor, where the machine has a sensor."""


class Sensors:
    """Takes readings of the machine the firmware runs on."""

    def __init__(self, clock: Clock, thermal: Path = _THERMAL) -> None:
        """Count uptime from now."""
        self._clock: Final = clock
        self._thermal: Final = thermal
        self._started: Final = clock.monotonic()
        self._sequence = 0

    def read(self) -> Reading:
        """Return the next reading."""
        self._sequence += 1
        return Reading(
            sequence=self._sequence,
            uptime=round(self._clock.monotonic() - self._started, 3),
            time=round(self._clock.wall(), 3),
            load=_load(),
            temperature=self._temperature(),
        )

    def _temperature(self) -> float | None:
        try:
            return int(self._thermal.read_text()) / 1000
        except (OSError, ValueError):
            return None


def _load() -> float | None:
    try:
        return round(os.getloadavg()[0], 2)
    except OSError:
        return None
