"""What goes out over the connection: how much may be under way at once, and how fast.

Several publications are under way at a time, in the order in which the tasks gave them. AWS IoT
Core takes up to 100 that it has not acknowledged and drops what a connection publishes beyond 100 a
second (docs/aws-iot-facts.md, 5.4). awscrt waits where a server's Receive Maximum is lower.
Subscriptions are made one packet at a time, before anything is published.
"""

import math
from collections import deque
from collections.abc import Sequence
from typing import Final

from msgspec import Struct, structs

from device.operation.task import Task
from device.provisioning.actions import Publish, Subscribe

MOST_UNDER_WAY: Final = 32
"""Publications without an acknowledgement: enough for 100 a second over a way of 300 ms."""
MOST_BYTES_UNDER_WAY: Final = 512 * 1024
"""Bytes of their payloads: what AWS IoT takes in a second."""
PUBLISHES_A_SECOND: Final = 100
_SECOND: Final = 1.0


class Outgoing(Struct, frozen=True):
    """An order for the connection, the task that it is for, and when it was sent."""

    order: Subscribe | Publish
    task: Task | None = None
    sent_at: float = math.inf


class Sending:
    """A queue of orders, the oldest first, and what of them is under way."""

    def __init__(self, publish_rate: int = PUBLISHES_A_SECOND) -> None:
        """Send at most ``publish_rate`` publications in any second."""
        self._waiting: Final[deque[Outgoing]] = deque()
        self._under_way: Final[dict[int, Outgoing]] = {}
        self._bytes = 0
        self._sent_at: Final[deque[float]] = deque(maxlen=publish_rate)
        self._last_ticket = 0
        self.subscribing: Subscribe | None = None
        """The subscription that is not answered yet."""

    def add(self, order: Subscribe | Publish, task: Task | None = None) -> None:
        """Send ``order`` when its turn comes."""
        self._waiting.append(Outgoing(order, task))

    def clear(self) -> None:
        """Forget everything: the connection is gone."""
        self._waiting.clear()
        self._under_way.clear()
        self._bytes, self.subscribing = 0, None

    def waiting_for(self, task: Task) -> int:
        """Return how many orders of ``task`` have not been sent."""
        return sum(outgoing.task is task for outgoing in self._waiting)

    @property
    def has_subscriptions(self) -> bool:
        """Whether subscriptions wait to be sent."""
        return any(isinstance(outgoing.order, Subscribe) for outgoing in self._waiting)

    @property
    def oldest_sent_at(self) -> float:
        """When the oldest publication under way was sent; infinity if none is."""
        oldest = next(iter(self._under_way.values()), None)
        return math.inf if oldest is None else oldest.sent_at

    @property
    def next_due(self) -> float:
        """When the rate allows the next publication; infinity if it is not the rate that holds."""
        is_paced = bool(self._waiting) and self._has_room_for(self._waiting[0])
        return self._free_at if is_paced else math.inf

    def take(self, now: float) -> Sequence[Subscribe | Publish]:
        """Return what is to be sent at ``now``; it is under way from then on."""
        taken: list[Subscribe | Publish] = []
        while self._waiting and self._may_go(self._waiting[0], now):
            taken.append(self._send(self._waiting.popleft(), now))
        return taken

    def acknowledged(self, ticket: int) -> Outgoing | None:
        """Return the publication that AWS IoT now has; None if it is not under way."""
        found = self._under_way.pop(ticket, None)
        if found is not None and isinstance(found.order, Publish):
            self._bytes -= len(found.order.payload)
        return found

    @property
    def _free_at(self) -> float:
        is_full = len(self._sent_at) == self._sent_at.maxlen
        return self._sent_at[0] + _SECOND if is_full else -math.inf

    def _may_go(self, outgoing: Outgoing, now: float) -> bool:
        is_paced = isinstance(outgoing.order, Publish) and now < self._free_at
        return not is_paced and self._has_room_for(outgoing)

    def _has_room_for(self, outgoing: Outgoing) -> bool:
        if self.subscribing is not None:
            return False
        if isinstance(outgoing.order, Subscribe) or not self._under_way:
            return not self._under_way
        size = self._bytes + len(outgoing.order.payload)
        return len(self._under_way) < MOST_UNDER_WAY and size <= MOST_BYTES_UNDER_WAY

    def _send(self, outgoing: Outgoing, now: float) -> Subscribe | Publish:
        if isinstance(outgoing.order, Subscribe):
            self.subscribing = outgoing.order
            return outgoing.order
        self._last_ticket += 1
        self._under_way[self._last_ticket] = structs.replace(outgoing, sent_at=now)
        self._bytes += len(outgoing.order.payload)
        self._sent_at.append(now)
        return Publish(outgoing.order.topic, outgoing.order.payload, self._last_ticket)
