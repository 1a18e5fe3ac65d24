"""Telemetry: a reading goes by schedule, connected or not, and none is lost in silence.

Readings that AWS IoT has not acknowledged are kept over outages, up to a number, and published
again. Those that will never arrive are reported.
"""

import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from device.operation.task import Order, Report
from device.provisioning.actions import Publish
from device.provisioning.events import MessageReceived

MOST_READINGS: Final = 1_000


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


class Telemetry:
    """The task that publishes readings, one at a time and the oldest first."""

    def __init__(
        self,
        topic: str,
        interval: float,
        measure: Callable[[], Reading],
        most: int = MOST_READINGS,
    ) -> None:
        """Publish what ``measure`` returns every ``interval`` seconds; ``most`` readings wait."""
        self._topic: Final = topic
        self._interval: Final = interval
        self._measure: Final = measure
        self._most: Final = most
        self._due = -math.inf
        self._is_connected = False
        self._waiting: Final[deque[Reading]] = deque()
        self._in_flight: Reading | None = None
        self._losses, self._first_lost, self._last_lost = 0, 0, 0
        """How many readings will never arrive, and the sequence numbers of two of them."""

    def subscriptions(self) -> Sequence[str]:
        """Subscribe to nothing."""
        return ()

    def on_connected(self) -> Sequence[Order]:
        """Say what the outage cost, and publish what it left."""
        self._is_connected = True
        return [*self._loss("there was no room for more"), *self._publish()]

    def on_disconnected(self) -> None:
        """Publish again what was in flight: it is not known whether it arrived."""
        self._is_connected = False
        if self._in_flight is not None:
            self._waiting.appendleft(self._in_flight)
            self._in_flight = None

    def on_message(self, _: MessageReceived) -> Sequence[Order]:
        """Answer nothing."""
        return []

    def on_acknowledged(self, _: Publish) -> Sequence[Order]:
        """Forget the reading that arrived, and publish the next."""
        arrived, self._in_flight = self._in_flight, None
        if arrived is None:
            return []
        return [Report("telemetry acknowledged", f"message {arrived.sequence}"), *self._publish()]

    def next_due(self) -> float:
        """Return when the next reading is taken; the first is taken at once."""
        return self._due

    def on_due(self, now: float) -> Sequence[Order]:
        """Take a reading."""
        self._due = now + self._interval
        self._waiting.append(self._measure())
        if len(self._waiting) > self._most:
            self._drop_oldest()
        return self._publish()

    def on_stopped(self) -> Sequence[Report]:
        """Say which readings will never arrive."""
        self.on_disconnected()
        while self._waiting:
            self._drop_oldest()
        return self._loss("stopped before AWS IoT acknowledged them")

    def _publish(self) -> Sequence[Order]:
        if not (self._is_connected and self._in_flight is None and self._waiting):
            return []
        self._in_flight = self._waiting.popleft()
        return [Publish(self._topic, msgspec.json.encode(self._in_flight))]

    def _drop_oldest(self) -> None:
        self._last_lost = self._waiting.popleft().sequence
        self._first_lost = self._first_lost if self._losses else self._last_lost
        self._losses += 1

    def _loss(self, why: str) -> Sequence[Report]:
        losses, self._losses = self._losses, 0
        if not losses:
            return []
        which = f"message {self._first_lost}"
        if losses > 1:
            which = f"{losses} messages, from {self._first_lost} to {self._last_lost}"
        return [Report("telemetry dropped", f"{which}: {why}")]
