"""Are the waits between attempts long enough, spread, and bounded?"""

import random

import pytest

from device.runtime.backoff import Backoff


class Loaded:
    """Dice that always fall on the same part of the range."""

    def __init__(self, part: float) -> None:
        self._part = part

    def uniform(self, a: float, b: float) -> float:
        return a + (b - a) * self._part


def test_the_range_doubles_up_to_the_longest() -> None:
    backoff = Backoff(1.0, 20.0, Loaded(1.0))

    assert [backoff.next_delay() for _ in range(7)] == [2.0, 3.0, 5.0, 9.0, 17.0, 21.0, 21.0]


def test_no_wait_is_shorter_than_the_shortest() -> None:
    backoff = Backoff(1.5, 20.0, Loaded(0.0))

    assert {backoff.next_delay() for _ in range(50)} == {1.5}


def test_years_of_failing_do_not_overflow() -> None:
    backoff = Backoff(1.0, 120.0, Loaded(1.0), attempts=1_000_000)

    assert backoff.next_delay() == 121.0


def test_a_reset_begins_again() -> None:
    backoff = Backoff(1.0, 120.0, Loaded(1.0))
    waits = [backoff.next_delay() for _ in range(5)]
    backoff.reset()

    assert backoff.next_delay() == waits[0] < waits[-1]


def test_the_whole_range_is_used() -> None:
    """Full jitter: a fleet that failed together does not come back together."""
    waits = [Backoff(1.0, 64.0, random.Random(seed), attempts=6).next_delay() for seed in range(64)]  # noqa: S311 - no secret

    assert min(waits) < 8.0
    assert max(waits) > 58.0
    assert len({round(wait) for wait in waits}) > 30


@pytest.mark.parametrize("attempts", [0, 3, 40])
def test_the_shortest_may_be_longer_than_the_longest(attempts: int) -> None:
    assert Backoff(30.0, 10.0, Loaded(1.0), attempts=attempts).next_delay() == 40.0
