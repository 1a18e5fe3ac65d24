"""The station's ledger: which device got which serial number, one line a step, never changed.

Thing name, client id and common name all come from the serial number, so two devices of one
serial number would share a thing and disconnect each other. A line is durable before the station
acts upon it: ``begun`` before anything is made, ``made`` before the device is called made.
"""

import fcntl
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from device.storage.filesystem import make_folder, storage_errors, sync_folder
from factory.errors import BatchUnknownError, LedgerError

FILE: Final = "ledger.jsonl"
_LOCK: Final = "ledger.lock"
_WRITTEN: Final = b"the ledger has been written\n"
"""In the lock's file, as soon as there is a line: a ledger that is gone is not begun again."""
_TORN: Final = b'{"torn_line":'
"""Begins the line that follows one which a power cut has cut short."""

_log = logging.getLogger(__name__)


class Result(StrEnum):
    """How far a device has come."""

    BEGUN = "begun"
    MADE = "made"
    FAILED = "failed"
    """It was given up before anybody outside the station could know of it."""
    RETIRED = "retired"
    """Another device has its serial number now."""


HOLDING: Final = frozenset({Result.BEGUN, Result.MADE})
"""While a device is in one of these, its serial number is taken."""


class Entry(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename={"serial_number": "serial", "at": "when", "folder": "state"},
):
    """One line of the ledger."""

    serial_number: str
    device_id: str
    at: datetime
    method: str
    batch: str | None
    result: Result
    folder: str
    """Where the device is, as an absolute path."""
    certificate_id: str | None = None
    """The certificate that the station gave it; a device by claim gets its own later."""
    accounts: tuple[str, ...] = ()
    """Where the station registered it, as ``ACCOUNT:REGION``."""
    note: str = ""


@dataclass(frozen=True)
class Contents:
    """What is in the ledger's file."""

    entries: Sequence[Entry]
    torn_line: int | None = None
    """The number of the last line, if a power cut has cut it short."""
    is_ended: bool = True
    """Whether the last line ends with a line feed."""


def read_contents(content: bytes, file: Path) -> Contents:
    """Return the entries in ``content``; a last line that was cut short counts for nothing.

    Raises:
        LedgerError: another line was not written by the station.
    """
    *lines, rest = content.split(b"\n")
    entries, torn = [], None
    for number, line in enumerate(lines, start=1):
        follower = lines[number] if number < len(lines) else b""
        entry = _entry(line)
        if entry is not None:
            entries.append(entry)
        elif line and not line.startswith(_TORN) and not follower.startswith(_TORN):
            raise LedgerError(f"{file}, line {number} was not written by the station")
    last = _entry(rest)
    if last is not None:
        entries.append(last)
    elif rest:
        torn = len(lines) + 1
    return Contents(entries, torn, is_ended=not rest)


def holders(entries: Sequence[Entry], serial_number: str) -> list[Entry]:
    """Return the last entry of each device that has ``serial_number`` now, oldest first."""
    last = {each.device_id: each for each in entries if each.serial_number == serial_number}
    return [each for each in last.values() if each.result in HOLDING]


def made_in_batch(entries: Sequence[Entry], batch: str) -> list[Entry]:
    """Return the devices of ``batch`` that are made and not retired, in the order of making.

    Raises:
        BatchUnknownError: the ledger has no such batch.
    """
    last = {each.device_id: each for each in entries if each.batch == batch}
    if not last:
        raise BatchUnknownError(batch)
    return [each for each in last.values() if each.result is Result.MADE]


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


class Ledger:
    """The file, in the station's folder."""

    def __init__(self, folder: Path, now: Callable[[], datetime] = _now) -> None:
        """Keep it in ``folder``, which is made when the first line is written."""
        self.file = folder / FILE
        self.now = now
        self._folder = folder
        self._lock = folder / _LOCK

    def entries(self) -> Sequence[Entry]:
        """Return all entries, and say in the log if the last line was cut short.

        Raises:
            LedgerError: a line was not written by the station.
        """
        found = self._contents()
        if found.torn_line is not None:
            words = "%s, line %d is incomplete, perhaps because of a power cut; it is ignored"
            _log.warning(words, self.file, found.torn_line)
        return found.entries

    def append(self, *entries: Entry) -> None:
        """Write ``entries``, durably on return; hold the lock (``locked``).

        Raises:
            StorageError: the disk refused; nothing may be built upon the entries.
        """
        data = b"".join(msgspec.json.encode(each) + b"\n" for each in entries)
        ending = self._ending()
        with storage_errors(self.file):
            descriptor = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                _write(descriptor, ending + data)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        sync_folder(self._folder)
        with storage_errors(self._lock):
            self._lock.write_bytes(_WRITTEN)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes of the station from looking at it, and writing, in between."""
        make_folder(self._folder)
        with storage_errors(self._lock):
            descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _ending(self) -> bytes:
        """Return what ends a last line that was cut short: a ledger is only ever added to."""
        found = self._contents()
        if found.torn_line is not None:
            return b"\n%s%d}\n" % (_TORN, found.torn_line)
        return b"" if found.is_ended else b"\n"

    def _contents(self) -> Contents:
        with storage_errors(self.file):
            if self.file.is_fifo() or self.file.is_char_device():
                raise LedgerError(f"{self.file} is not a regular file")
            content = self.file.read_bytes() if self.file.exists() else b""
            if not content and self._lock.is_file() and self._lock.stat().st_size:
                raise LedgerError(f"{self.file} is gone, or empty, and the station had written it")
        return read_contents(content, self.file)


def _entry(line: bytes) -> Entry | None:
    try:
        return msgspec.json.decode(line, type=Entry)
    except msgspec.DecodeError:
        return None


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
