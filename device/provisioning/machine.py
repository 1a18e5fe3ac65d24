"""What every provisioning machine shares: a table, one way in, and the time a state may take.

A machine is pure. It opens no socket or file, reads no clock and rolls no dice: it takes
one past fact and returns orders. What the loop owes it:

- carry out the actions in order, and report each outcome as one event;
- give a `TimedOut` when nothing came within `timeout` seconds of entering a state;
- after `WaitBeforeRetry`, close the connection, wait, and report what is then stored;
- own the machine from one thread.

What the machine does not do: retry by itself, keep anything across a power cut, or decide
how long to wait.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final, Generic, TypeVar

from device.errors.provisioning import UNEXPECTED_EVENT
from device.provisioning import messages, topics
from device.provisioning.actions import Action, Request
from device.provisioning.events import Event, MessageReceived

S = TypeVar("S", bound=Enum)
Transitions = Mapping[S, Mapping[type[Event], S]]


class Machine(ABC, Generic[S]):
    """A state machine whose transitions are data."""

    def __init__(self, transitions: Transitions[S], start: S, timeouts: Mapping[S, float]) -> None:
        """Begin in ``start``; ``timeouts`` gives seconds for the states that have a limit."""
        self.transitions: Final = transitions
        self._timeouts = timeouts
        self._state = start
        self._requested: str | None = None

    @property
    def state(self) -> S:
        """What the device waits for."""
        return self._state

    @property
    def timeout(self) -> float | None:
        """Seconds until the loop owes a `TimedOut`, or None for no limit."""
        return self._timeouts.get(self._state)

    @property
    @abstractmethod
    def finished(self) -> bool:
        """Whether the device is proven and promoted."""

    def receive(self, event: Event) -> list[Action]:
        """Advance on ``event`` and return what to do next, in order.

        Raises:
            UnexpectedEventError: ``event`` cannot happen in this state. The state is
                left unchanged.
        """
        before = self._state
        after = self.transitions[before].get(type(event))
        if after is None:
            raise UNEXPECTED_EVENT.error(event=type(event).__name__, state=before.name)
        self._state = after
        orders = self._actions(before, event)
        requests = (order.topic for order in orders if isinstance(order, Request))
        self._requested = next(requests, None)
        return orders

    def reply_in(self, message: MessageReceived) -> Event | None:
        """Return what ``message`` answers to the request in flight; None when it is not an answer.

        AWS's replies carry no correlation id, so the topic has to be the one of this very
        request: its operation and its template. (AWS IoT Core Developer Guide, "Device
        provisioning MQTT API".)
        """
        if self._requested is None or message.topic not in topics.replies(self._requested):
            return None
        return messages.decode(message)

    @abstractmethod
    def _actions(self, before: S, event: Event) -> list[Action]:
        """Return the orders that follow from ``event``, which was received in ``before``."""


AnyMachine = Machine[Any]
"""A machine whose states nobody asks for by name; a union of machines would not be one type."""
