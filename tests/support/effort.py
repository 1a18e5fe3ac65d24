"""How far a search goes: the fast suite samples, and ``scripts/test --long`` tries all."""

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, TypeVar

VARIABLE: Final = "FIRSTBOOT_LONG"
"""Set by tests/conftest.py, for this process and those that it starts."""

Item = TypeVar("Item")


def is_long() -> bool:
    """Whether this run has time for all there is."""
    return bool(os.environ.get(VARIABLE))


def examples(count: int) -> int:
    """Return how many examples Hypothesis tries: ``count``, or ten times as many."""
    return count * 10 if is_long() else count


def one_in(step: int, items: Iterable[Item]) -> Iterator[Item]:
    """Yield the first of every ``step`` items, or all of them."""
    return islice(items, 0, None, 1 if is_long() else step)
