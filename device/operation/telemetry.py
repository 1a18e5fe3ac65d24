"""Telemetry: a reading goes by schedule, connected or not, and none is lost in silence.

A reading stays in the outbox until AWS IoT has acknowledged it; several are under way at a time.
When the outbox is full, the oldest reading that is not on its way makes room. Those that will never
arrive are reported.
"""

import math
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from device.errors.storage import StorageError
from device.operation.counters import Counters
from device.operation.outbox import MOST_MESSAGES, MemoryOutbox, Outbox, Window
from device.operation.task import Order, QuietTask, Reconfigured, Report
from device.provisioning.actions import Publish
from device.provisioning.events import Event

MOST_READINGS: Final = MOST_MESSAGES
INTERVAL: Final = "telemetry.interval"
"""The setting that says how many seconds are between two readings."""


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


_READING: Final = msgspec.json.Decoder(Reading)


class Telemetry(QuietTask):
    """The task that publishes readings, the oldest first."""

    def __init__(
        self,
        topic: str,
        interval: float,
        measure: Callable[[], Reading],
        outbox: Outbox | None = None,
        counters: Counters | None = None,
    ) -> None:
        """Publish what ``measure`` returns every ``interval`` seconds, through ``outbox``."""
        self._topic: Final = topic
        self._interval = interval
        self._measure: Final = measure
        self._outbox: Final[Outbox] = MemoryOutbox() if outbox is None else outbox
        self._window: Final = Window(self._outbox)
        self._counters: Final = counters or Counters()
        self._due = -math.inf
        self._told_of_disk = False
        self._losses, self._first_lost, self._last_lost = 0, 0, 0
        """How many readings will never arrive, and the sequence numbers of two of them."""

    def on_connected(self) -> Sequence[Order]:
        """Say what the outage cost, and publish what it left."""
        self._window.open()
        return self._publish()

    def on_disconnected(self) -> None:
        """Publish again what was under way: it is not known whether it arrived."""
        self._window.close()

    def on_acknowledged(self, publication: Publish) -> Sequence[Order]:
        """Forget the reading that arrived, and publish the next."""
        if not self._window.arrived(publication):
            return []
        said = Report("telemetry acknowledged", f"message {_number_of(publication)}")
        return [said, *self._publish()]

    def on_fact(self, fact: Event) -> Sequence[Order]:
        """Take a new interval up at once."""
        if isinstance(fact, Reconfigured) and INTERVAL in fact.settings:
            self._due += fact.settings[INTERVAL] - self._interval
            self._interval = fact.settings[INTERVAL]
        return []

    def next_due(self) -> float:
        """Return when the next reading is taken; the first is taken at once."""
        return self._due

    def on_due(self, now: float) -> Sequence[Order]:
        """Take a reading."""
        self._due = now + self._interval
        publication = Publish(self._topic, msgspec.json.encode(self._measure()))
        return [*self._keep(publication), *self._publish()]

    def on_stopped(self) -> Sequence[Report]:
        """Say which readings will never arrive, or how many wait for the next start."""
        self.on_disconnected()
        waiting = len(self._outbox)
        if self._outbox.is_durable:
            self._outbox.settle()
            kept = [Report("telemetry kept", f"{waiting} for the next start")] if waiting else []
            return [*self._loss("there was no room for more"), *kept]
        for _ in range(waiting):
            self._drop(self._outbox.remove())
        return self._loss("stopped before AWS IoT acknowledged them")

    def _publish(self) -> Sequence[Order]:
        """Publish what may go now; which readings will never arrive is said before that."""
        said = self._loss("there was no room for more") if self._window.is_open else []
        return [*said, *self._window.take()]

    def _keep(self, publication: Publish) -> Sequence[Order]:
        """Put ``publication`` into the outbox, whatever has to go for it."""
        oldest = self._window.under_way
        while not self._outbox.has_room_for(publication):
            if len(self._outbox) <= oldest:
                self._drop(publication)
                return []
            self._drop(self._outbox.remove(oldest))
        return self._put(publication)

    def _put(self, publication: Publish) -> Sequence[Order]:
        try:
            self._outbox.put(publication)
        except StorageError as error:
            self._outbox.hold(publication)
            return self._disk_refused(str(error))
        self._told_of_disk = False
        return []

    def _disk_refused(self, why: str) -> Sequence[Order]:
        """Say it once: telemetry goes on, but a power cut would now cost readings."""
        if self._told_of_disk:
            return []
        self._told_of_disk = True
        return [Report("telemetry not on disk", f"kept in memory: {why}")]

    def _drop(self, publication: Publish) -> None:
        self._last_lost = _number_of(publication)
        self._first_lost = self._first_lost if self._losses else self._last_lost
        self._losses += 1
        self._counters.readings_dropped += 1

    def _loss(self, why: str) -> Sequence[Report]:
        losses, self._losses = self._losses, 0
        if not losses:
            return []
        which = f"message {self._first_lost}"
        if losses > 1:
            which = f"{losses} messages, from {self._first_lost} to {self._last_lost}"
        return [Report("telemetry dropped", f"{which}: {why}")]


def _number_of(publication: Publish) -> int:
    return _READING.decode(publication.payload).sequence
