"""A soak: one device renews every few seconds, while broker, network and power fail at random."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Protocol

from device.errors import StoppedError
from device.errors.renewal import RENEWAL_RUNNING
from device.operation.renewal import RenewalOrders
from device.operation.task import Order, QuietTask
from tests.support.errors import suppressed
from tests.support.power import PowerCutError, PowerSupply
from tests.support.worlds import Diary, World, switched_on

ONE_IN = 0.1
"""How likely each failure is at each order."""
SHORTEST_LIFE, LONGEST_LIFE = 20, 2_000
"""Orders to the network and the disk until the power fails."""


class Trouble(Protocol):
    """What fails beside the device's power."""

    def restart_broker(self) -> None:
        """Break every connection."""
        ...

    def fault(self, chance: Random) -> None:
        """Let one thing go wrong with a request or a connection."""
        ...

    def power_came_back(self) -> None:
        """Do what has to be done between two lives of the device."""
        ...


class Storm(QuietTask):
    """Orders a renewal every few seconds, and lets something fail now and then."""

    def __init__(
        self,
        orders: RenewalOrders,
        trouble: Trouble,
        chance: Random,
        counts: Counter[str],
        end: float,
    ) -> None:
        self._orders, self._trouble, self._chance, self._counts = orders, trouble, chance, counts
        self._due, self._end = 0.0, end

    def next_due(self) -> float:
        return self._due

    def on_due(self, now: float) -> Sequence[Order]:
        if now >= self._end:
            raise StoppedError("the soak is over")
        self._due = now + self._chance.uniform(1.0, 5.0)
        if self._chance.random() < ONE_IN:
            self._counts["broker restarts"] += 1
            self._trouble.restart_broker()
        if self._chance.random() < ONE_IN:
            self._counts["faults"] += 1
            self._trouble.fault(self._chance)
        with suppressed(RENEWAL_RUNNING):
            self._orders.order("the soak wants it")
        return []


def soak(world: World, state: Path, trouble: Trouble, seed: int, seconds: float) -> Counter[str]:
    """Have the device in ``state`` at work for ``seconds``; return what happened how often."""
    chance, counts = Random(seed), Counter[str]()  # noqa: S311 - a test
    end = world.clock.monotonic() + seconds
    while world.clock.monotonic() < end:
        with suppress(PowerCutError):
            _live(world, state, trouble, chance, counts, end)
            break
        counts["power cuts"] += 1
        trouble.power_came_back()
    return counts


def _live(  # noqa: PLR0917 - one object per collaborator, all named at the one call
    world: World, state: Path, trouble: Trouble, chance: Random, counts: Counter[str], end: float
) -> None:
    """Have the device at work until the power fails, or the soak is over."""
    supply = PowerSupply(cut_at=chance.randint(SHORTEST_LIFE, LONGEST_LIFE))
    diary = Diary()
    try:
        with switched_on(world, state, supply, diary, chance) as agent:
            agent.operate(Storm(agent.renewal_orders, trouble, chance, counts, end))
    finally:
        counts.update(name for name, _ in diary.steps if name.startswith("renew"))
