"""How long a device takes to come back, by what befell it; the table of docs/cannot-be-bricked.md.

In each world one kind of accident happens and no other, more often than in the other worlds.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.world.world import DAY, HOUR, RATES, Shape, World

SHAPE: Final = Shape(devices=6, hostile=DAY / 2, honest=6 * HOUR, interval=60.0)
"""A reading a minute: what interrupts nothing is over with the next one."""
_MORE: Final = 5.0
_MOST: Final = 0.3
SEEDS: Final = (1, 2)


def table(folder: Path) -> Iterator[str]:
    """Yield a line for each kind of accident."""
    for kind in RATES:
        yield row(kind, recoveries(kind, folder))


def recoveries(kind: str, folder: Path) -> list[float]:
    """Return after how many seconds the victims of ``kind`` were connected and proven again.

    Raises:
        AssertionError: a rule was broken.
    """
    found: list[float] = []
    for seed in SEEDS:
        rates = {kind: min(_MOST, _MORE * RATES[kind])}
        outcome = World(seed, folder / f"{kind}-{seed}", SHAPE, rates=rates).run()
        assert outcome.broken == "", outcome.broken
        found += outcome.recovered.get(kind, [])
    return found


def row(kind: str, seconds: list[float]) -> str:
    """Return a line of the table."""
    ordered = sorted(seconds)
    shown = [spoken(ordered[len(ordered) // 2]), spoken(ordered[-1])] if ordered else ["-", "-"]
    return f"| {kind} | {len(ordered):,} | {' | '.join(shown)} |"


def spoken(seconds: float) -> str:
    """Return a time as a person says it."""
    if seconds < 100.0:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000.0 else f"{seconds / 3600:.1f} h"
