"""The task that has the counters written down from time to time."""

import math
from collections.abc import Sequence
from typing import Final

from device.operation.task import Deed, Order, QuietTask, Reconfigured
from device.provisioning.events import Event

INTERVAL: Final = "metrics.interval"


class WriteMetrics(Deed, frozen=True):
    """Write the counters into the file of metrics; no fact comes of it."""


class Metrics(QuietTask):
    """Orders `WriteMetrics` every ``interval`` seconds, connected or not."""

    def __init__(self, interval: float) -> None:
        """Begin at once."""
        self._interval = interval
        self._due = -math.inf

    def on_fact(self, fact: Event) -> Sequence[Order]:
        """Take a new interval up at once."""
        if isinstance(fact, Reconfigured) and INTERVAL in fact.settings:
            self._due += fact.settings[INTERVAL] - self._interval
            self._interval = fact.settings[INTERVAL]
        return []

    def next_due(self) -> float:
        """Return when the counters are written next."""
        return self._due

    def on_due(self, now: float) -> Sequence[Order]:
        """Have the counters written."""
        self._due = now + self._interval
        return [WriteMetrics()]
