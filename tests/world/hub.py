"""Virtual time: what happens when, and fibers that wait for it, all in one thread."""

import heapq
from collections.abc import Callable
from typing import Any, Final

import greenlet

from tests.support.clock import FakeClock


class Hub:
    """Runs what is due, in order; a second takes no longer than what happens in it."""

    def __init__(self) -> None:
        """Begin at second 0."""
        self.now = 0.0
        self.turns = 0
        """How many things have happened."""
        self._due: Final[list[tuple[float, int, Callable[[Any], None], Any]]] = []
        self._number = 0
        self.main: Final = greenlet.getcurrent()

    def at(self, moment: float, action: Callable[[Any], None], about: Any = None) -> None:
        """Call ``action(about)`` at ``moment``; at equal moments in the order of these calls."""
        self._number += 1
        heapq.heappush(self._due, (max(moment, self.now), self._number, action, about))

    def run(self, until: float) -> None:
        """Let time pass."""
        due = self._due
        while due and due[0][0] <= until:
            self.now, _, action, about = heapq.heappop(due)
            self.turns += 1
            action(about)
        self.now = until


class Fiber:
    """A program that waits in the middle of its calls, as the device's event loop does."""

    def __init__(self, hub: Hub, run: Callable[[], None]) -> None:
        """Start ``run`` at once, on the hub's thread."""
        self._hub: Final = hub
        self._ticket = 0
        self.is_waiting = False
        self._greenlet: Final = greenlet.greenlet(run, parent=hub.main)
        hub.at(hub.now, lambda _: self._greenlet.switch())

    def wait(self, until: float) -> None:
        """Let others run until then, or until `wake`."""
        self._ticket += 1
        self._hub.at(until, self._wake_for, self._ticket)
        self.is_waiting = True
        self._hub.main.switch()

    def wake(self) -> None:
        """End the wait."""
        if self.is_waiting:
            self.is_waiting = False
            self._greenlet.switch()

    def interrupt(self, error: BaseException) -> None:
        """Raise ``error`` where the program waits."""
        if self.is_waiting:
            self.is_waiting = False
            self._greenlet.throw(error)

    def end(self) -> None:
        """End the program, wherever it waits."""
        if not self._greenlet.dead:
            self._greenlet.throw(greenlet.GreenletExit)

    def _wake_for(self, ticket: int) -> None:
        if ticket == self._ticket:
            self.wake()


class DeviceClock(FakeClock):
    """A device's two clocks: monotonic time starts with the power, the other may be wrong."""

    EPOCH: Final = 1_790_000_000.0

    def __init__(self, hub: Hub) -> None:
        """Begin right."""
        super().__init__()
        self._hub: Final = hub
        self.offset = 0.0
        """Seconds that the wall clock is wrong."""
        self.powered_at = 0.0

    def wall(self) -> float:
        """Return seconds since the epoch, as this device has it."""
        return self.EPOCH + self._hub.now + self.offset

    def monotonic(self) -> float:
        """Return seconds since the power came."""
        return self._hub.now - self.powered_at

    def advance(self, seconds: float) -> None:
        """Nobody moves this clock: the hub does."""
        raise NotImplementedError(seconds)
