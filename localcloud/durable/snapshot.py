"""Saves the whole state once in a while, so that the journal of changes stays short.

What was answered is on disk already (`localcloud.durable`): this bounds how long the next start
takes, and catches what no answer told of, such as the log of a Lambda function.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

_PERIOD_SECONDS: Final = 5.0
_REST: Final = 50.0  # rest at least this many times as long as the last save took


class Snapshot:
    """Saves everything every few seconds, if anything changed."""

    def __init__(
        self,
        save: Callable[[], None],
        is_behind: Callable[[], bool],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Use ``save`` to write everything when it ``is_behind``.

        ``sleep`` and ``clock`` count seconds.
        """
        self._save = save
        self._is_behind = is_behind
        self._sleep = sleep
        self._clock = clock

    async def keep(self) -> None:
        """Save after changes until cancelled."""
        pause = _PERIOD_SECONDS
        while True:
            await self._sleep(pause)
            if self._is_behind():
                started = self._clock()
                self._save()
                pause = max(_PERIOD_SECONDS, _REST * (self._clock() - started))
