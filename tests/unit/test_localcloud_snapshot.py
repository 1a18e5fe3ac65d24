"""What changes is saved soon, once, and for a bounded share of the time."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.snapshot import Snapshot


class Night:
    """Counts the seconds slept; an hour is enough."""

    def __init__(self, before_waking: Callable[[float], None] = lambda _now: None) -> None:
        self.now = 0.0
        self._before_waking = before_waking

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        self._before_waking(self.now)
        if self.now > 3600:
            raise asyncio.CancelledError


def keep(snapshot: Snapshot) -> None:
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(snapshot.keep())


def test_one_change_is_saved_once_within_a_second() -> None:
    night = Night()
    saved: list[float] = []
    snapshot = Snapshot(lambda: saved.append(night.now), night.sleep, lambda: night.now)
    snapshot.note_change()
    keep(snapshot)
    assert saved == [1.0]


def test_nothing_changed_is_not_saved() -> None:
    night = Night()
    keep(Snapshot(lambda: pytest.fail("saved"), night.sleep, lambda: night.now))


@given(seconds=st.floats(min_value=0, max_value=60))
def test_saving_takes_a_tenth_of_the_time_at_most(seconds: float) -> None:
    saves = 0

    def save() -> None:
        nonlocal saves
        saves += 1
        night.now += seconds

    night = Night(lambda _now: snapshot.note_change())
    snapshot = Snapshot(save, night.sleep, lambda: night.now)
    keep(snapshot)
    assert saves * seconds <= night.now / 10 + seconds


class Store(dict[str, int]):
    """A dict-like class, as MiniStack's are."""

    def set_scoped(self, name: str, value: int) -> None:
        super().update({name: value})


@pytest.mark.parametrize(
    "change",
    [
        lambda store: store.__setitem__("a", 2),
        lambda store: store.__delitem__("a"),
        lambda store: store.set_scoped("a", 2),
        lambda store: store.pop("a"),
        lambda store: store.update({"a": 2}),
        lambda store: store.clear(),
    ],
)
def test_a_watched_store_notes_every_kind_of_change(change: Callable[[Store], None]) -> None:
    class Watched(Store):
        pass

    night = Night()
    saved: list[float] = []
    snapshot = Snapshot(lambda: saved.append(night.now), night.sleep, lambda: night.now)
    store = Watched(a=1)
    snapshot.watch(Watched)
    change(store)
    keep(snapshot)
    assert len(saved) == 1


def test_reading_a_watched_store_is_no_change() -> None:
    class Watched(Store):
        pass

    night = Night()
    snapshot = Snapshot(lambda: pytest.fail("saved"), night.sleep, lambda: night.now)
    snapshot.watch(Watched)
    store = Watched()
    assert store.get("a") is None
    keep(snapshot)
