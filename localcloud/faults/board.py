"""Which faults are switched on, whom they strike, and how often.

This is the book-keeping alone; ``fault_injection`` lets the broker look into it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import count
from typing import Final, TypeVar

import msgspec

from localcloud.errors import FAULT
from localcloud.faults.kinds import AnyFault, Throttle

FaultT = TypeVar("FaultT", bound=AnyFault)
_RATE_SECONDS: Final = 1.0


@dataclass
class _Active:
    """A fault that is switched on, and how far it is used up."""

    id: int
    fault: AnyFault
    remaining: int | None
    seen: list[float] = field(default_factory=list)


class FaultBoard:
    """The faults that are switched on, in the order in which they were."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Use ``clock`` (seconds) to tell a rate."""
        self._clock = clock
        self._ids = count(1)
        self._active: list[_Active] = []

    def switch_on(self, fault: AnyFault) -> int:
        """Add ``fault``; return the number by which it can be switched off."""
        active = _Active(next(self._ids), fault, fault.count)
        self._active.append(active)
        return active.id

    def switch_off(self, fault_id: int | None = None) -> None:
        """Remove one fault, or all.

        Raises:
            FaultError: no fault has this number.
        """
        kept = [a for a in self._active if fault_id is not None and a.id != fault_id]
        if fault_id is not None and len(kept) == len(self._active):
            raise FAULT.error(f"no fault has the number {fault_id}")
        self._active = kept

    def listed(self) -> list[dict[str, object]]:
        """Return what is switched on, as JSON can say it."""
        return [
            {"id": a.id, "remaining": a.remaining, **msgspec.to_builtins(a.fault)}
            for a in self._active
        ]

    def take(
        self,
        kind: type[FaultT],
        client_id: str,
        where: Callable[[FaultT], bool] = lambda _fault: True,
    ) -> FaultT | None:
        """Return the first fault of ``kind`` that strikes this client now, and count it."""
        for active in self._active:
            fault = active.fault
            if (
                isinstance(fault, kind)
                and fnmatchcase(client_id, fault.client_id)
                and where(fault)
                and not self._within_rate(active)
            ):
                self._use(active)
                return fault
        return None

    def _within_rate(self, active: _Active) -> bool:
        if not isinstance(active.fault, Throttle):
            return False
        now = self._clock()
        active.seen = [then for then in active.seen if now - then < _RATE_SECONDS]
        is_within = len(active.seen) < active.fault.per_second
        if is_within:  # AWS refuses what exceeds the rate; what it refused does not count again
            active.seen.append(now)
        return is_within

    def _use(self, active: _Active) -> None:
        if active.remaining is not None:
            active.remaining -= 1
            if active.remaining == 0:
                self._active.remove(active)
