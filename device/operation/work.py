"""What the event loop runs: facts in, orders out, moments as seconds of a monotonic clock."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final

from device.operation.task import Report
from device.provisioning.actions import Action
from device.provisioning.events import Event, MessageReceived

CONNECT_PACING_SECONDS: Final = 1.0
"""AWS IoT takes one CONNECT a second of a client id (docs/aws-iot-facts.md, Quotas)."""


class Work(ABC):
    """A first boot, or the operation that follows it."""

    @property
    def finished(self) -> bool:
        """Whether there is nothing more to do."""
        return False

    @property
    def is_routine(self) -> bool:
        """Whether nobody needs to be told that the present step takes long."""
        return False

    @property
    @abstractmethod
    def step(self) -> str:
        """What the device is busy with, in words."""

    @property
    @abstractmethod
    def timeout(self) -> float | None:
        """Seconds from the last order, or the begin of the step, until a `TimedOut` is wanted."""

    @property
    def overdue_at(self) -> float:
        """The moment at which a `TimedOut` is wanted, whatever was ordered since; often never."""
        return math.inf

    @abstractmethod
    def begin(self) -> Event:
        """Return the fact to begin with, at the start and after a failure."""

    @abstractmethod
    def resume(self) -> Event:
        """Return the fact to continue with after a wait that was ordered."""

    @abstractmethod
    def reply_in(self, message: MessageReceived, /) -> Event | None:
        """Return what ``message`` means here, or None if it is unexpected."""

    @abstractmethod
    def receive(self, event: Event, now: float, /) -> Sequence[Action]:
        """Return what follows from ``event``, which came at ``now``."""

    def carry_out(self, order: Action, /) -> Event | None:
        """Carry out an order that is not for the connection; return its outcome, if it has one."""
        raise TypeError(f"{type(self).__name__} cannot carry out {type(order).__name__}")

    def next_due(self) -> float:
        """Return the moment of the next `on_due`; infinity for none."""
        return math.inf

    def on_due(self, _now: float, /) -> Sequence[Action]:
        """Do what goes by schedule, connected or not."""
        return []

    def on_stopped(self) -> Sequence[Report]:
        """Say what a stop leaves undone."""
        return []
