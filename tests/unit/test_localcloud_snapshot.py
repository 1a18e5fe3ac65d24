"""What changes is saved soon, once, and for a bounded share of the time."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.durable.snapshot import Snapshot


class Night:
    """Counts the seconds slept; an hour is enough."""

    def __init__(self) -> None:
        self.now = 0.0

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.now > 3600:
            raise asyncio.CancelledError


def keep(snapshot: Snapshot) -> None:
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(snapshot.keep())


class Changes:
    """Says whether something has changed since the last save."""

    def __init__(self, *, is_behind: bool) -> None:
        self.is_behind = is_behind
        self.saved_at: list[float] = []


def test_one_change_is_saved_once_within_seconds() -> None:
    night, changes = Night(), Changes(is_behind=True)

    def save() -> None:
        changes.saved_at.append(night.now)
        changes.is_behind = False

    keep(Snapshot(save, lambda: changes.is_behind, night.sleep, lambda: night.now))
    assert changes.saved_at == [5.0]


def test_nothing_changed_is_not_saved() -> None:
    night = Night()
    keep(Snapshot(lambda: pytest.fail("saved"), lambda: False, night.sleep, lambda: night.now))


@given(seconds=st.floats(min_value=0, max_value=60))
def test_saving_takes_a_fiftieth_of_the_time_at_most(seconds: float) -> None:
    night, changes = Night(), Changes(is_behind=True)

    def save() -> None:
        changes.saved_at.append(night.now)
        night.now += seconds

    keep(Snapshot(save, lambda: True, night.sleep, lambda: night.now))
    assert len(changes.saved_at) * seconds <= night.now / 50 + seconds
