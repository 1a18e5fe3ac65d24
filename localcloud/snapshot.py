"""Keeps what is on disk close behind what is in memory.

MiniStack writes its state when it is asked to stop, and only then. Here every change is on disk
a second or so later, each service's file replaced in one step: a killed process loses its last
second of changes and never leaves half a file.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Final

_PERIOD_SECONDS: Final = 1.0
_REST: Final = 10.0  # rest at least this many times as long as the last save took
_MUTATORS: Final = (
    "__setitem__",
    "__delitem__",
    "set_scoped",
    "setdefault",
    "update",
    "pop",
    "pop_scoped",
    "clear",
)


class Snapshot:
    """Saves everything once a second, if anything changed."""

    def __init__(
        self,
        save: Callable[[], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Use ``save`` to write everything; ``sleep`` and ``clock`` count seconds."""
        self._save = save
        self._sleep = sleep
        self._clock = clock
        self._changed = False

    def note_change(self) -> None:
        """Say that something may have changed; from any thread, and as often as you like."""
        self._changed = True

    def watch(self, container: type) -> None:
        """Note a change whenever an instance of ``container``, a dict-like class, is changed."""
        for name in _MUTATORS:
            if hasattr(container, name):
                setattr(container, name, self._noting(getattr(container, name)))

    def _noting(self, mutator: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(mutator)
        def noting(*arguments: Any) -> Any:
            self._changed = True
            return mutator(*arguments)

        return noting

    async def keep(self) -> None:
        """Save after changes until cancelled."""
        pause = _PERIOD_SECONDS
        while True:
            await self._sleep(pause)
            if self._changed:
                self._changed = False
                started = self._clock()
                self._save()
                pause = max(_PERIOD_SECONDS, _REST * (self._clock() - started))
