"""What waits for AWS IoT's acknowledgement: a bounded queue of publications, the oldest first.

The device's own is on disk (`device.runtime.durable_outbox`); this page says what a task may ask
of one, and has the one in memory.
"""

from collections import deque
from typing import Final, Protocol

from device.errors.operation import OUTBOX_FULL
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

    def has_room_for(self, publication: Publish, /) -> bool:
        """Whether ``publication`` may be put without going over a limit."""
        ...

    def put(self, publication: Publish, /) -> None:
        """Keep ``publication``, durably on return if the outbox is durable.

        Raises:
            OutboxFullError: there is no room for it; nothing changed.
            StorageError: the disk refused; nothing changed.
        """
        ...

    def hold(self, publication: Publish, /) -> None:
        """Keep ``publication`` in memory alone, as when the disk refuses it."""
        ...

    def first(self) -> Publish:
        """Return the oldest publication.

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

    def has_room_for(self, publication: Publish) -> bool:
        """Whether ``publication`` may be put without going over a limit."""
        fits = self._bytes + size_of(publication) <= self._most_bytes
        return fits and len(self._waiting) < self._most

    def put(self, publication: Publish) -> None:
        """Keep ``publication``.

        Raises:
            OutboxFullError: there is no room for it.
        """
        self.check_room_for(publication)
        self.hold(publication)

    def check_room_for(self, publication: Publish) -> None:
        """Raise unless ``publication`` may be put.

        Raises:
            OutboxFullError: it would be one too many, or too many bytes.
        """
        if not self.has_room_for(publication):
            raise OUTBOX_FULL.error(publications=len(self._waiting), size=self._bytes)

    def hold(self, publication: Publish) -> None:
        """Keep ``publication``, whatever the limits."""
        self._bytes += size_of(publication)
        self._waiting.append(publication)

    def first(self) -> Publish:
        """Return the oldest publication."""
        return self._waiting[0]

    def remove(self, position: int = 0) -> Publish:
        """Forget the publication at ``position``, and return it."""
        publication = self._waiting[position]
        del self._waiting[position]
        self._bytes -= size_of(publication)
        return publication
