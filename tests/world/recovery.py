"""How long a device takes to come back, by what befell it; the table of docs/cannot-be-bricked.md.

In each world one kind of accident happens and no other, more often than in the other worlds.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from tests.world.comeback import LASTS
from tests.world.device import WITH_TOKEN
from tests.world.world import DAY, HOUR, RATES, Shape, World

METHODS: Final = ("claim", "claim-aws-keys", "jitp", WITH_TOKEN, "single-thing")
"""A device of ``trusted-user`` waits for its user, however long."""
SHAPE: Final = Shape(
    devices=5, hostile=DAY / 2, honest=2 * HOUR, interval=120.0, methods=METHODS
)  # fmt: skip
"""A reading in two minutes: what interrupts nothing is over with the next one."""
KINDS: Final = tuple(kind for kind in RATES if kind != "decommissioned")
_MORE: Final = 5.0
_MOST: Final = 0.3
MANY: Final = 30
"""After so many comebacks no further seed is tried."""
MOST_SEEDS: Final = 10


def table(folder: Path, kinds: Iterable[str] = KINDS) -> Iterator[str]:
    """Yield a line for each kind of accident."""
    for kind in kinds:
        yield row(kind, recoveries(kind, folder))


def recoveries(kind: str, folder: Path) -> list[float]:
    """Return how many seconds after the end of ``kind`` its victims were connected and proven.

    Raises:
        AssertionError: a rule was broken.
    """
    found: list[float] = []
    rates = {kind: min(_MOST, _MORE * RATES[kind])}
    shape = replace(SHAPE, methods=(WITH_TOKEN,)) if kind.startswith("token") else SHAPE
    for seed in range(1, MOST_SEEDS + 1):
        if len(found) >= MANY:
            break
        outcome = World(seed, folder / f"{kind}-{seed}", shape, rates=rates).run()
        assert outcome.broken == "", outcome.broken
        found += outcome.recovered.get(kind, [])
    return found


def row(kind: str, seconds: list[float]) -> str:
    """Return a line of the table."""
    ordered = sorted(seconds)
    shown = [spoken(ordered[len(ordered) // 2]), spoken(ordered[-1])] if ordered else ["-", "-"]
    lasts = LASTS.get(kind, 0.0)
    length = "-" if lasts == 0.0 else "the power is off" if lasts == math.inf else spoken(lasts)
    return f"| {kind} | {length} | {len(ordered):,} | {' | '.join(shown)} |"


def spoken(seconds: float) -> str:
    """Return a time as a person says it."""
    if seconds < 100.0:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000.0 else f"{seconds / 3600:.1f} h"
