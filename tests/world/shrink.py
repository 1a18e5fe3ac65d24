"""From many accidents to the few without which a rule would hold."""

from collections.abc import Callable
from typing import Final

from tests.world.chance import Accident

MOST_RUNS: Final = 60


def shrink(
    accidents: list[Accident], fails: Callable[[frozenset[Accident]], bool]
) -> list[Accident]:
    """Return accidents that still make it fail, and of which none can be left out.

    Delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input"):
    leave out halves, then quarters, and so on. It ends after `MOST_RUNS` runs at the latest.
    """
    left, pieces, runs = list(accidents), 2, 0
    if left and fails(frozenset()):
        return []
    while len(left) >= 2 and runs < MOST_RUNS:
        size = -(-len(left) // pieces)
        for start in range(0, len(left), size):
            without = left[:start] + left[start + size :]
            runs += 1
            if fails(frozenset(without)):
                left, pieces = without, max(2, pieces - 1)
                break
        else:
            if size == 1:
                break
            pieces = min(len(left), 2 * pieces)
    return left
