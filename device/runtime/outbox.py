"""Readings that AWS IoT has not acknowledged: kept over outages, up to a number."""

from collections import deque
from dataclasses import dataclass
from typing import Final

from device.runtime.telemetry import Reading

MOST_READINGS: Final = 1_000


@dataclass(frozen=True)
class Loss:
    """Readings that will never arrive."""

    count: int
    first: int
    """Sequence numbers of the oldest and the newest."""
    last: int


class Outbox:
    """Hands readings out one at a time, the oldest first; drops the oldest when it is full."""

    def __init__(self, most: int = MOST_READINGS) -> None:
        """Begin empty; at most ``most`` readings wait."""
        self._most: Final = most
        self._waiting: Final[deque[Reading]] = deque()
        self._dropped: Final[deque[int]] = deque(maxlen=2)
        self._drops = 0
        self.in_flight: Reading | None = None
        """What was published and is not acknowledged yet."""

    def add(self, reading: Reading) -> None:
        """Keep ``reading`` until it is acknowledged."""
        self._waiting.append(reading)
        if len(self._waiting) > self._most:
            self._drop(self._waiting.popleft())

    def take(self) -> Reading | None:
        """Return what to publish now, or None; it is then in flight."""
        if self.in_flight is None and self._waiting:
            self.in_flight = self._waiting.popleft()
            return self.in_flight
        return None

    def acknowledge(self) -> Reading | None:
        """Return the reading that arrived, or None if there was none in flight."""
        arrived, self.in_flight = self.in_flight, None
        return arrived

    def connection_lost(self) -> None:
        """Publish again what was in flight: it is not known whether it arrived."""
        if self.in_flight is not None:
            self._waiting.appendleft(self.in_flight)
            self.in_flight = None

    def take_loss(self) -> Loss | None:
        """Return what was dropped since this was last asked."""
        if not self._drops:
            return None
        loss = Loss(self._drops, self._dropped[0], self._dropped[-1])
        self._drops = 0
        self._dropped.clear()
        return loss

    def give_up(self) -> Loss | None:
        """Return all that was not acknowledged; it is dropped."""
        self.connection_lost()
        while self._waiting:
            self._drop(self._waiting.popleft())
        return self.take_loss()

    def _drop(self, reading: Reading) -> None:
        if self._drops > 1:
            self._dropped.pop()
        self._dropped.append(reading.sequence)
        self._drops += 1
