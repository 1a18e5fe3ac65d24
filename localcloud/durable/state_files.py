"""The files of whole services, as MiniStack reads them at its start: one JSON document each."""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from localcloud.durable import journal
from localcloud.errors import STATE_FOLDER

_FORMAT: Final = "__ministack_format__"
JOURNAL: Final = "changes.journal"


class StateFiles:
    """Where the services of one local AWS are saved."""

    def __init__(
        self, folder: Path, encode: Callable[[Any], Any], version: Callable[[str], int]
    ) -> None:
        """Use ``folder``; ``encode`` and ``version`` are MiniStack's ways of saying a state."""
        self._folder = folder
        self._encode = encode
        self._version = version
        self._written: dict[str, bytes] = {}

    @property
    def journal(self) -> Path:
        """The file of what has changed since all was saved."""
        return self._folder / JOURNAL

    @property
    def size(self) -> int:
        """How many bytes were saved, of all services that were since the start."""
        return sum(map(len, self._written.values()))

    def save(self, service: str, state: object) -> None:
        """Write a service's state in one step, unless it is there already.

        Raises:
            OSError: the disk is full, or broken; the file is as it was.
            TypeError: the state has something that cannot be said in JSON.
        """
        document = {_FORMAT: self._version(service), "payload": state}
        content = json.dumps(document, default=self._encode).encode()
        if self._written.get(service) != content:
            self._replace(service, content)

    def forget(self) -> None:
        """Take no file for granted: someone else may have removed it."""
        self._written.clear()

    def recover(self) -> None:
        """Bring the journal of a process that was killed into the files, and remove it.

        Each change says how a record is, not what was done to it: when this is cut short, doing it
        again is as good.

        Raises:
            StateFolderError: a file is not what was saved; MiniStack would begin again without it.
        """
        for file in sorted(self._folder.glob("*.json")):
            self._check(file)
        changes = sorted(journal.read(self.journal), key=_service)  # stable: in order of writing
        for service, of_service in groupby(changes, _service):
            self._bring_in(service, of_service)
        self.journal.unlink(missing_ok=True)

    def forget_parts(self, service: str, *parts: str) -> None:
        """Take some parts out of a service's file, as if it had never had them."""
        document = self._read(service)
        for part in parts:
            document["payload"].pop(part, None)
        self._replace(service, json.dumps(document).encode())

    def _check(self, file: Path) -> None:
        try:
            document = json.loads(file.read_bytes())
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict) or "payload" not in document:
            problem = f"{file.parent.name}/{file.name} is not what was saved; is the disk broken?"
            raise STATE_FOLDER.error(problem, path=self._folder.parent)

    def _bring_in(self, service: str, changes: Iterable[Mapping[str, Any]]) -> None:
        document = self._read(service)
        for change in changes:
            journal.apply(document["payload"], change)
        self._replace(service, json.dumps(document).encode())

    def _read(self, service: str) -> dict[str, Any]:
        try:
            document: dict[str, Any] = json.loads(self._file(service).read_bytes())
        except FileNotFoundError:
            document = {_FORMAT: self._version(service), "payload": {}}
        return document

    def _replace(self, service: str, content: bytes) -> None:
        new = self._folder / f"{service}.json.tmp"
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        new.replace(self._file(service))
        self._written[service] = content

    def _file(self, service: str) -> Path:
        return self._folder / f"{service}.json"


def _service(change: Mapping[str, Any]) -> str:
    service: str = change["service"]
    return service
