"""What waits for AWS IoT's acknowledgement: a bounded queue of publications, the oldest first.

The device's own is on disk (`device.runtime.durable_outbox`); this page says what a task may ask
of one, and has the one in memory.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol

from device.errors.operation import OUTBOX_FULL
from device.operation.sending import MOST_UNDER_WAY
from device.provisioning.actions import Publish

MOST_MESSAGES: Final = 1_000
MOST_BYTES: Final = 1_048_576


class Outbox(Protocol):
    """Publications that are kept until they are removed."""

    @property
    def is_durable(self) -> bool:
        """Whether a start finds what the stop before it left."""
        ...

    def __len__(self) -> int:
        """Return how many publications wait."""
        ...

    def has_room_for(self, *group: Publish) -> bool:
        """Whether all of ``group`` may be put without going over a limit."""
        ...

    def put(self, *group: Publish) -> None:
        """Keep all of ``group``, by one commit if the outbox is durable.

        Raises:
            OutboxFullError: there is no room for all; nothing changed.
            StorageError: the disk refused; nothing changed.
        """
        ...

    def hold(self, publication: Publish, /) -> None:
        """Keep ``publication`` in memory alone, as when the disk refuses it."""
        ...

    def at(self, position: int, /) -> Publish:
        """Return the publication at ``position``; the oldest is at 0.

        Raises:
            IndexError: there is none.
        """
        ...

    def remove(self, position: int = 0, /) -> Publish:
        """Forget the publication at ``position``, and return it: it arrived, or has to make room.

        Raises:
            IndexError: there is none.
        """
        ...

    def settle(self) -> None:
        """Leave nothing that a start would publish again without need; a stop asks for this."""
        ...


def size_of(publication: Publish) -> int:
    """Return how many bytes count towards the limit."""
    return len(publication.topic) + len(publication.payload)


class MemoryOutbox:
    """An `Outbox` that a stop empties."""

    is_durable: bool = False

    def __init__(self, most: int = MOST_MESSAGES, most_bytes: int = MOST_BYTES) -> None:
        """Hold up to ``most`` publications of ``most_bytes`` bytes together."""
        self._most: Final = most
        self._most_bytes: Final = most_bytes
        self._waiting: Final[deque[Publish]] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        """Return how many publications wait."""
        return len(self._waiting)

    def has_room_for(self, *group: Publish) -> bool:
        """Whether all of ``group`` may be put without going over a limit."""
        fits = self._bytes + sum(map(size_of, group)) <= self._most_bytes
        return fits and len(self._waiting) + len(group) <= self._most

    def put(self, *group: Publish) -> None:
        """Keep all of ``group``.

        Raises:
            OutboxFullError: there is no room for all.
        """
        self.check_room_for(*group)
        for publication in group:
            self.hold(publication)

    def check_room_for(self, *group: Publish) -> None:
        """Raise unless all of ``group`` may be put.

        Raises:
            OutboxFullError: they would be too many, or too many bytes.
        """
        if not self.has_room_for(*group):
            raise OUTBOX_FULL.error(publications=len(self._waiting), size=self._bytes)

    def hold(self, publication: Publish) -> None:
        """Keep ``publication``, whatever the limits."""
        self._bytes += size_of(publication)
        self._waiting.append(publication)

    def at(self, position: int) -> Publish:
        """Return the publication at ``position``."""
        return self._waiting[position]

    def remove(self, position: int = 0) -> Publish:
        """Forget the publication at ``position``, and return it."""
        publication = self._waiting[position]
        del self._waiting[position]
        self._bytes -= size_of(publication)
        return publication

    def settle(self) -> None:
        """Have nothing to do: a start finds nothing."""


class Window:
    """The oldest publications of an outbox, which are under way, up to `MOST_UNDER_WAY`."""

    def __init__(self, outbox: Outbox) -> None:
        """Begin without a connection."""
        self._outbox: Final = outbox
        self.is_open = False
        """Whether publications may be sent."""
        self.under_way = 0
        """So many of the oldest have been sent over this connection, without an answer yet."""

    def open(self) -> None:
        """Take note that publications may be sent."""
        self.is_open = True

    def close(self) -> None:
        """Have everything sent again, in order: it is not known what of it arrived."""
        self.is_open, self.under_way = False, 0

    def take(self) -> Sequence[Publish]:
        """Return what is to be sent now; it is under way from then on."""
        if not self.is_open:
            return []
        begin, end = self.under_way, min(len(self._outbox), MOST_UNDER_WAY)
        self.under_way = max(begin, end)
        return [self._outbox.at(position) for position in range(begin, end)]

    def arrived(self, publication: Publish) -> bool:
        """Remove ``publication`` if it is under way; return whether it was."""
        for position in range(self.under_way):
            if self._outbox.at(position) == publication:
                self._outbox.remove(position)
                self.under_way -= 1
                return True
        return False
