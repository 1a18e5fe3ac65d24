"""Dictionaries that note which of their records were looked at, and in whose work.

MiniStack changes records in place: ``store[name]["status"] = ...`` calls no method of the store.
So whoever was handed a record may have changed it, and whoever commits compares each record that
was handed out with what is on disk. Work is a request or a connection; what runs beside them is
the background's.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final

_KEPT_RECORDS: Final = 256  # of one connection, the latest ones: a claim may provision thousands


@dataclass(frozen=True)
class Store:
    """Where the records of a dictionary are saved.

    Without a ``name``, they are saved in another form than they have in memory, so that a change
    means to save the whole service.
    """

    service: str
    name: str | None


@dataclass(eq=False)
class Work:
    """What one request or connection has looked at, in order."""

    is_changed: bool = False
    """Whether something may differ from what is on disk."""
    alters: bool = False
    """Whether it is there to change something: a record that it was handed may differ then."""
    is_open: bool = True
    records: dict[tuple["Watched", Any], None] = field(default_factory=dict)

    def note(self, records: "Watched", key: Any) -> None:
        """Remember that ``key`` was looked at."""
        self.records[records, key] = None

    def forget_oldest(self) -> None:
        """Keep the latest records only."""
        for oldest in list(self.records)[:-_KEPT_RECORDS]:
            self.records.pop(oldest, None)


BACKGROUND: Final = Work()
"""What belongs to no request: timers, threads, tasks that outlive the request that began them."""
_current: ContextVar[Work] = ContextVar("work", default=BACKGROUND)


def current() -> Work:
    """Return the work that is being done."""
    work = _current.get()
    return work if work.is_open else BACKGROUND


@contextmanager
def working(*, alters: bool) -> Iterator[Work]:
    """Do a piece of work of its own; ``alters`` if it is there to change something."""
    work = Work(alters, alters)
    token = _current.set(work)
    try:
        yield work
    finally:
        work.is_open = False
        _current.reset(token)


class Watched(dict[Any, Any]):
    """A store's records by key, each note of a look or a change made in the current work."""

    __slots__ = ("scopes", "store", "written")

    def __init__(self, store: Store, records: dict[Any, Any]) -> None:
        """Take over ``records``, which are saved in ``store``."""
        super().__init__(records)
        self.store = store
        self.scopes = {_scope(key): None for key in records}
        """Every account, or account and Region, that has or had a record; in order."""
        self.written: dict[Any, int | None] = dict.fromkeys(records)
        """Digests of the records as they are on disk; None where that is not known."""

    def __hash__(self) -> int:  # type: ignore[override]  # one by identity: it is a place
        """Tell places apart, whatever is in them."""
        return id(self)

    def __eq__(self, other: object) -> bool:
        """Whether it is the same place."""
        return self is other

    def _look(self, key: Any) -> None:
        work = current()
        if self.store.name is not None or work.alters:
            work.note(self, key)

    def _look_at_all(self) -> None:
        # Only who alters something is taken to change what an iteration hands out: to note every
        # record for every reader would cost more than it finds.
        work = current()
        if work.alters:
            for key in list(self):
                work.note(self, key)

    def _change(self, key: Any) -> None:
        work = current()
        work.is_changed = True
        work.note(self, key)

    def __getitem__(self, key: Any) -> Any:
        """Hand out a record."""
        self._look(key)
        return super().__getitem__(key)

    def get(self, key: Any, default: Any = None) -> Any:
        """Hand out a record, or the default."""
        self._look(key)
        return super().get(key, default)

    def values(self) -> Any:
        """Hand out every record."""
        self._look_at_all()
        return super().values()

    def items(self) -> Any:
        """Hand out every record, with its key."""
        self._look_at_all()
        return super().items()

    def __setitem__(self, key: Any, value: Any) -> None:
        """Put a record."""
        self._change(key)
        self.scopes[_scope(key)] = None
        super().__setitem__(key, value)

    def __delitem__(self, key: Any) -> None:
        """Remove a record."""
        self._change(key)
        super().__delitem__(key)

    def pop(self, key: Any, *default: Any) -> Any:
        """Remove a record and hand it out."""
        self._change(key)
        return super().pop(key, *default)

    def popitem(self) -> Any:
        """Remove the latest record and hand it out."""
        key = next(reversed(self))
        return key, self.pop(key)

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """Put a record unless there is one; hand it out."""
        self._change(key)
        self.scopes[_scope(key)] = None
        return super().setdefault(key, default)

    def update(self, *others: Any, **more: Any) -> None:
        """Put several records."""
        for key, value in dict(*others, **more).items():
            self[key] = value

    def clear(self) -> None:
        """Remove every record."""
        for key in list(self):
            self._change(key)
        super().clear()

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[Any, Any]:
        """Return a plain copy: a copy is not a place that anybody saves."""
        return {key: copy.deepcopy(value, memo) for key, value in dict(self).items()}


def _scope(key: Any) -> Any:
    return key[:-1] if isinstance(key, tuple) else None
