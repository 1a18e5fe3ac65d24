"""The news of a connection on their way from awscrt's thread to the device's: a bounded queue."""

import math
import queue
import threading
import time
from typing import Final

from device.connection.session import StopRequested
from device.provisioning.events import Event, MessageReceived

MOST_MESSAGES: Final = 256
MOST_BYTES: Final = 1_048_576
"""Messages, and bytes of their payloads, that may wait; what comes on top is dropped."""
_ANY_CONNECTION: Final = -1
_DEAF_SECONDS: Final = 10.0
"""No wait is longer: a signal that comes in the microseconds before one begins is only heard when
it ends, since Python runs signal handlers between two bytecodes. Any other signal ends the wait."""


class Inbox:
    """Takes events of numbered connections; only messages are ever dropped, and counted."""

    def __init__(self) -> None:
        """Begin empty."""
        self._queue: Final[queue.SimpleQueue[tuple[int, Event]]] = queue.SimpleQueue()
        self._is_stop_wanted = False
        self._lock: Final = threading.Lock()
        self._messages = self._bytes = self._dropped = 0

    def put(self, connection: int, event: Event) -> None:
        """Add what must not be lost: what became of a connection, a subscription, a publication."""
        self._queue.put((connection, event))

    def post(self, event: Event) -> None:
        """Add what comes from within the device: it is of no connection, and never dropped."""
        self._queue.put((_ANY_CONNECTION, event))

    def put_message(self, connection: int, message: MessageReceived) -> None:
        """Add a message, unless too much is waiting."""
        with self._lock:
            size = len(message.payload)
            if self._messages >= MOST_MESSAGES or self._bytes + size > MOST_BYTES:
                self._dropped += 1
                return
            self._messages += 1
            self._bytes += size
        self._queue.put((connection, message))

    def request_stop(self) -> None:
        """Have `get` return `StopRequested` before anything else; safe in a signal handler."""
        self._is_stop_wanted = True
        self._queue.put((0, StopRequested()))

    def take_dropped(self) -> int:
        """Return how many messages were dropped since this was last asked."""
        with self._lock:
            dropped, self._dropped = self._dropped, 0
        return dropped

    def get(self, connection: int, timeout: float | None) -> Event | None:
        """Return the next event of ``connection``, or None after ``timeout`` seconds.

        Events of other connections are dropped on the way.
        """
        until = math.inf if timeout is None else time.monotonic() + timeout
        while True:
            if self._is_stop_wanted:
                self._is_stop_wanted = False
                return StopRequested()
            left = max(0.0, until - time.monotonic())
            try:
                number, event = self._queue.get(timeout=min(left, _DEAF_SECONDS))
            except queue.Empty:
                if left <= _DEAF_SECONDS and not self._is_stop_wanted:
                    return None
                continue
            if isinstance(event, MessageReceived):
                self._note_taken(event)
            is_ours = number in {connection, _ANY_CONNECTION}
            if is_ours and not isinstance(event, StopRequested):
                return event

    def _note_taken(self, message: MessageReceived) -> None:
        with self._lock:
            self._messages -= 1
            self._bytes -= len(message.payload)
