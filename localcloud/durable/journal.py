"""Changed records, one a line, appended before the answer that tells of them.

A line that a killed process left half-written ends the journal: its change was never answered.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_APPEND: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND


@dataclass(frozen=True)
class Change:
    """A record as it is now; ``value`` is None if it is gone.

    ``key`` is MiniStack's, account first; without one, the change is a whole part of the service.
    """

    service: str
    store: str
    key: tuple[Any, ...] | None
    value: Any
    is_gone: bool = False


class Journal:
    """The file of the changes since all was last saved."""

    def __init__(self, path: Path, encode: Callable[[Any], Any]) -> None:
        """Open ``path`` for appending; ``encode`` is for what JSON cannot say."""
        self._encode = encode
        self._handle = os.open(path, _APPEND, 0o600)
        self.size = os.fstat(self._handle).st_size

    def line(self, change: Change) -> bytes:
        """Return what says ``change``.

        Raises:
            TypeError: neither JSON nor ``encode`` can say it.
            ValueError: it contains itself.
        """
        facts = {"service": change.service, "store": change.store}
        if change.key is not None:
            facts["key"] = _written_key(change.key)
            facts["kind"] = _KINDS[len(change.key)]
        value = {} if change.is_gone else {"value": change.value}
        return json.dumps({**facts, **value}, default=self._encode).encode() + b"\n"

    def append(self, lines: bytes) -> None:
        """Write whole lines; when it returns, the end of this process cannot lose them.

        Raises:
            OSError: the disk is full, or broken; the journal ends with its last whole line.
        """
        start, rest = self.size, memoryview(lines)
        try:
            while rest:
                rest = rest[os.write(self._handle, rest) :]
        except OSError:
            os.ftruncate(self._handle, start)
            raise
        self.size = start + len(lines)

    def begin_anew(self) -> None:
        """Forget every change: all of them are in the saved state."""
        os.ftruncate(self._handle, 0)
        self.size = 0

    def close(self) -> None:
        """Release the file."""
        os.close(self._handle)


_KINDS: Final = {2: "__scoped__", 3: "__account_region_scoped__"}  # ministack.core.persistence


def _written_key(key: tuple[Any, ...]) -> str:
    """Return a key as MiniStack's files have it: the scope, then the name's repr."""
    return "\0".join([*key[:-1], repr(key[-1])])


def read(path: Path) -> Iterator[Mapping[str, Any]]:
    """Return the changes in a journal, up to the first line that is not whole."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    for line in content.split(b"\n")[:-1]:  # what follows the last line feed is half a line
        try:
            change = json.loads(line)
        except ValueError:
            return
        if not isinstance(change, dict):
            return
        yield change


def apply(payload: dict[str, Any], change: Mapping[str, Any]) -> None:
    """Bring ``change`` into the ``payload`` of its service's file."""
    if "key" not in change:
        payload[change["store"]] = change["value"]
        return
    store = payload.setdefault(change["store"], {})
    if change["kind"] not in store:
        store |= {change["kind"]: True, "data": {}}
    if "value" in change:
        store["data"][change["key"]] = change["value"]
    else:
        store["data"].pop(change["key"], None)
