"""A session with room for a second connection beside it, for a renewal while the device operates.

The loop sees one session. What happens on the second connection waits here until `take`, and
`next_event` returns early for it.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from device.connection.session import Session
from device.provisioning import actions as act
from device.provisioning import events as ev

_LOOK_SECONDS: Final = 0.02
"""How often both connections are looked at, while there are two: for some seconds a year."""


class Beside:
    """The second connection; it is made at the first order."""

    def __init__(self, open_session: Callable[[act.Action], Session]) -> None:
        """Make the session by ``open_session``, for the order that it begins with."""
        self._open: Final = open_session
        self._session: Session | None = None
        self._news: Final[deque[ev.Event]] = deque()

    @property
    def is_open(self) -> bool:
        """Whether there may be news."""
        return self._session is not None

    @property
    def has_news(self) -> bool:
        """Whether `take` has something to return."""
        return bool(self._news)

    def perform(self, order: act.Action) -> None:
        """Begin ``order``; the outcome comes by `take`."""
        if isinstance(order, act.Connect):
            self.close()
        if self._session is None:
            self._session = self._open(order)
        self._session.perform(order)

    def take(self) -> ev.Event | None:
        """Return the oldest event that was not taken yet."""
        return self._news.popleft() if self._news else None

    def close(self) -> None:
        """Close the connection, and drop what it still had to say."""
        session, self._session = self._session, None
        self._news.clear()
        if session is not None:
            session.close()

    def look(self) -> bool:
        """Fetch an event, if there is one; return whether there is news."""
        event = self._session.next_event(0.0) if self._session else None
        if event is not None:
            self._news.append(event)
        return self.has_news


class TwoConnections:
    """A `Session`; all but `beside` is about the first connection."""

    def __init__(self, first: Session, open_second: Callable[[act.Action], Session]) -> None:
        """Open the second one by ``open_second``, for the order that it begins with."""
        self.first: Final = first
        self.beside: Final = Beside(open_second)

    def perform(self, action: act.Action) -> None:
        """Begin ``action`` on the first connection."""
        self.first.perform(action)

    def next_event(self, timeout: float | None) -> ev.Event | None:
        """Return the next event of the first connection; None also when the second has news."""
        left = timeout
        while self.beside.is_open:
            if self.beside.look():
                return None
            wait = _LOOK_SECONDS if left is None else min(left, _LOOK_SECONDS)
            event = self.first.next_event(wait)
            if event is not None:
                return event
            left = None if left is None else left - wait
            if left is not None and left <= 0.0:
                return None
        return self.first.next_event(left)

    def close(self) -> None:
        """Close the first connection."""
        self.first.close()

    def trust(self, root_ca_pem: bytes) -> None:
        """Trust the CAs in ``root_ca_pem`` only, from the next first connection on."""
        self.first.trust(root_ca_pem)

    def request_stop(self) -> None:
        """Make `next_event` return that someone asked to stop; safe in a signal handler."""
        self.first.request_stop()
