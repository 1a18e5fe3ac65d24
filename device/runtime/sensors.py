"""What the device measures of itself."""

import os
from pathlib import Path
from typing import Final

from device.operation.telemetry import Reading
from device.runtime.clock import Clock

_THERMAL: Final = Path("/sys/class/thermal/thermal_zone0/temp")
_MOST_BYTES: Final = 32


class Sensors:
    """Takes readings of the machine the firmware runs on."""

    def __init__(self, clock: Clock, thermal: Path = _THERMAL) -> None:
        """Count uptime from now."""
        self._clock: Final = clock
        self._thermal: Final = str(thermal)
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
            sensor = os.open(self._thermal, os.O_RDONLY)
        except OSError:
            return None
        try:
            return int(os.read(sensor, _MOST_BYTES)) / 1000
        except (OSError, ValueError):
            return None
        finally:
            os.close(sensor)


def _load() -> float | None:
    try:
        return round(os.getloadavg()[0], 2)
    except OSError:
        return None
