"""How the device waits for a connection's news: the one place that knows stops and deadlines.

A deadline is looked at before each read, so a flood of messages suspends no time-out, and a stop
is served before whatever else is waiting. What nobody waits for is counted, not repeated.
"""

import logging
from collections.abc import Callable
from typing import Final

from device.errors.provisioning import StoppedError
from device.provisioning.events import Event, MessageReceived, TimedOut
from device.runtime.clock import Clock
from device.runtime.session import Session, StopRequested
from device.text import foreign

_log = logging.getLogger(__name__)

SLOW_SECONDS: Final = 1.0
"""What takes longer is told: what the device waits for, and how long at most."""
_SAY_AGAIN_SECONDS: Final = 60.0


def nobody(_: MessageReceived) -> Event | None:
    """Wait for no message."""
    return None


class Listener:
    """Reads the events of ``session`` for whoever is at work."""

    def __init__(
        self, session: Session, clock: Clock, tell_slow: Callable[[str, float], None]
    ) -> None:
        """Call ``tell_slow`` with what takes long, and the seconds that it may still take."""
        self._session: Final = session
        self._clock: Final = clock
        self._tell_slow: Final = tell_slow
        self._ignored = 0
        self._said_at: float | None = None

    def next_event(
        self,
        what: str,
        seconds: float | None,
        awaited: Callable[[MessageReceived], Event | None] = nobody,
        *,
        tell: bool = True,
    ) -> Event:
        """Return the next event, or `TimedOut` when it did not come within ``seconds``.

        ``what`` is what the device is busy with. A message counts if ``awaited`` makes an event of
        it.

        Raises:
            StoppedError: somebody asked to stop.
        """
        began = self._clock.monotonic()
        slow_at = began + SLOW_SECONDS if tell else None
        deadline = None if seconds is None else began + seconds
        while True:
            now = self._clock.monotonic()
            if deadline is not None and now >= deadline:
                return TimedOut()
            if slow_at is not None and now >= slow_at:
                slow_at = None
                self._tell_slow(what, 0.0 if deadline is None else deadline - now)
            ends = [moment for moment in (deadline, slow_at) if moment is not None]
            event = self._session.next_event(min(ends) - now if ends else None)
            if isinstance(event, StopRequested):
                raise StoppedError(f"stopped while {what}")
            if isinstance(event, MessageReceived):
                event = self._understood(event, awaited)
            if event is not None:
                return event

    def say_ignored(self) -> None:
        """Say how many messages were ignored since this was last said."""
        if self._ignored:
            _log.warning("ignored %d more messages that the device does not expect", self._ignored)
        self._ignored = 0

    def _understood(
        self, message: MessageReceived, awaited: Callable[[MessageReceived], Event | None]
    ) -> Event | None:
        event = awaited(message)
        if event is None:
            self._ignore(message)
        return event

    def _ignore(self, message: MessageReceived) -> None:
        now = self._clock.monotonic()
        if self._said_at is None:
            _log.warning("ignored an unexpected message on %s", foreign(message.topic))
            self._said_at = now
            return
        self._ignored += 1
        if now - self._said_at >= _SAY_AGAIN_SECONDS:
            self.say_ignored()
            self._said_at = now
