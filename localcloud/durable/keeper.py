"""Brings changes to the disk before the answer that tells of them, and all state once in a while.

Importing this module imports MiniStack.
"""

import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, Final

import msgspec
from ministack import app as ministack_app
from ministack.core import persistence, responses

from localcloud.durable.journal import Change, Journal
from localcloud.durable.state_files import StateFiles
from localcloud.durable.watched import BACKGROUND, Store, Watched, Work, current
from localcloud.seam import Seam

_SCOPED: Final = (responses.AccountRegionScopedDict, responses.AccountScopedDict)
# What they note down is told to nobody as an answer, and grows with every call.
_LOOSE: Final = frozenset({"cloudwatch_logs", "cloudwatch", "cloudtrail"})
_LARGEST_JOURNAL: Final = 8 * 1024 * 1024
"""Bytes; a journal that is larger, and larger than all that was saved, begins again.

Saving costs what the state has, so the next may come no sooner than when as much was written again.
"""
_SERVICES: Final = "ministack.services."
_GONE: Final = -1  # no digest: hash() never returns it
_logger: Final = logging.getLogger(__name__)

State = Callable[[], object]


@dataclass
class Part:
    """A part of a service's state that is not a store of records."""

    service: str
    store: str
    state: State
    written: int = _GONE


class Keeper:
    """Keeps the state of MiniStack's services on disk."""

    def __init__(
        self, files: StateFiles, changed: Callable[[Change], None] = lambda _change: None
    ) -> None:
        """Save into ``files``; tell ``changed`` of each record that differs from the disk."""
        self._files = files
        self._changed = changed
        self._state_map: dict[str, str] = Seam(ministack_app)["_state_map"]
        self._journal = Journal(files.journal, Seam(persistence)["_json_default"])
        self._adopted: dict[str, ModuleType] = {}
        self._modules_seen = 0
        self._unsaved: set[str] = set()
        self._parts: list[Part] = []
        self._forms: dict[tuple[str, str | None], Callable[[Any], Any]] = {}
        self._is_behind = True
        self._was_reset = False
        self._is_open = True

    @property
    def is_behind(self) -> bool:
        """Whether something has changed since all was saved."""
        return self._is_behind or BACKGROUND.is_changed

    def keep(self) -> None:
        """Write what the current work, and the background, have changed.

        Raises:
            OSError: the disk is full, or broken.
        """
        work = current()
        if not self._is_open or not (work.is_changed or BACKGROUND.is_changed or self._was_reset):
            return
        if self._was_reset:
            self._start_over()
        if len(sys.modules) != self._modules_seen:
            self._adopt()
        self._commit({work, BACKGROUND})
        if self._journal.size > max(_LARGEST_JOURNAL, self._files.size):
            self.save_all()

    def watch_part(self, service: str, store: str, state: State) -> None:
        """Keep ``state()``, a part of a service that has no records, as the records are kept."""
        self._parts.append(Part(service, store, state))

    def write_as(self, service: str, store: str, form: Callable[[Any], Any]) -> None:
        """Write the records of a store as ``form`` returns them."""
        self._forms[service, store] = form

    def note_reset(self) -> None:
        """Say that every service was emptied, and its file removed; from any thread."""
        self._was_reset = True

    def save_all(self) -> None:
        """Save every service, then begin the journal again; on an error the journal goes on."""
        self._adopt()
        try:
            self._commit_everything()
            for service, module in self._loaded():
                self._save(service, module)
        except (OSError, TypeError, ValueError, RuntimeError):  # RuntimeError: it was changing
            _logger.exception("The state could not be saved; the journal continues.")
            return
        self._journal.begin_anew()
        self._is_behind = False

    def close(self) -> None:
        """Save everything for the last time."""
        self.save_all()
        self._is_open = False
        self._journal.close()

    def _start_over(self) -> None:
        self._was_reset = False
        self._files.forget()
        self._adopted.clear()
        self._journal.begin_anew()
        self.save_all()

    def _adopt(self) -> None:
        """Watch the records of the services that were loaded meanwhile."""
        self._modules_seen = len(sys.modules)
        for service, module in self._loaded():
            if service not in _LOOSE and self._adopted.get(service) is not module:
                self._adopted[service] = module
                self._unsaved.add(service)  # what it did before it was watched
                _watch(service, module)

    def _loaded(self) -> Iterator[tuple[str, ModuleType]]:
        for service, name in self._state_map.items():
            module = sys.modules.get(_SERVICES + name)
            if module is not None and hasattr(module, "get_state"):
                yield service, module

    def _save(self, service: str, module: ModuleType) -> None:
        state = module.get_state()
        if state is not None:
            self._files.save(service, state)

    def _commit(self, works: Iterable[Work]) -> None:
        lines, whole = [], set(self._unsaved)
        for work in works:
            if work.is_changed:
                work.is_changed = False
                noted = list(work.records)
                whole |= {records.store.service for records, _ in noted if not records.store.name}
                lines += [self._line(records, key) for records, key in noted if records.store.name]
                work.forget_oldest()
        lines += [self._part_line(part) for part in self._parts]
        self._write(b"".join(lines))
        for service in whole:
            self._save(service, self._adopted[service])
        self._unsaved.clear()

    def _commit_everything(self) -> None:
        """Write what was changed behind every back, so that the journal is as new as the files."""
        every = [each for module in self._adopted.values() for each in _watched(module)]
        lines = [self._line(each, key) for each in every if each.store.name for key in list(each)]
        lines += [self._part_line(part) for part in self._parts]
        self._write(b"".join(lines))

    def _part_line(self, part: Part) -> bytes:
        state = part.state()
        digest = _digest(state)
        if part.written == digest:
            return b""
        line = self._journal.line(Change(part.service, part.store, None, state))
        part.written = digest
        return line

    def _write(self, lines: bytes) -> None:
        self._is_behind = True
        if lines:
            self._journal.append(lines)

    def _form(self, store: Store) -> Callable[[Any], Any]:
        return self._forms.get((store.service, store.name), _as_it_is)

    def _line(self, records: Watched, key: Any) -> bytes:
        """Return what the journal must say of a record: nothing if it says so already."""
        record = dict.get(records, key)
        is_gone = key not in records
        written = None if is_gone else self._form(records.store)(record)
        digest = _GONE if is_gone else _digest(written)
        if records.written.get(key, _GONE) == digest:
            return b""
        store = records.store
        change = Change(store.service, str(store.name), key, record, is_gone)
        line = self._journal.line(replace(change, value=written))
        self._changed(change)
        records.written[key] = digest
        return line


def _as_it_is(record: Any) -> Any:
    return record


def _digest(record: object) -> int:
    try:
        return hash(msgspec.json.encode(record, enc_hook=repr))
    except (TypeError, ValueError):  # keys that are tuples: rare, and repr tells them apart, too
        return hash(repr(record))


def _watch(service: str, module: ModuleType) -> None:
    """Replace the dictionaries below a service's stores by watched ones."""
    names = _saved_stores(module)
    for container in _containers(module, names):
        name = next((name for name, each in names.items() if each is container), None)
        container._data = Watched(Store(service, name), dict(container._data))  # noqa: SLF001


def _watched(module: ModuleType) -> Iterator[Watched]:
    for container in _containers(module, _saved_stores(module)):
        if isinstance(container._data, Watched):  # noqa: SLF001
            yield container._data  # noqa: SLF001


def _containers(module: ModuleType, saved: dict[str, Any]) -> list[Any]:
    own = [value for value in vars(module).values() if isinstance(value, _SCOPED)]
    return list({id(each): each for each in [*own, *saved.values()]}.values())


def _saved_stores(module: ModuleType) -> dict[str, Any]:
    """Return the stores that a service saves just as they are, by the names it saves them under.

    ``get_state`` copies each of them. While a copy is the store itself, what comes out alike twice
    is a store; what a service makes for saving is new each time.
    """
    with _copies_are_originals():
        once, twice = module.get_state() or {}, module.get_state() or {}
    return {
        name: value
        for name, value in once.items()
        if isinstance(value, _SCOPED) and twice.get(name) is value
    }


@contextmanager
def _copies_are_originals() -> Iterator[None]:
    for kind in _SCOPED:
        kind.__deepcopy__ = lambda self, _memo: self
    try:
        yield
    finally:
        for kind in _SCOPED:
            del kind.__deepcopy__
