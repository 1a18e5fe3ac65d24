"""The station's ledger: which device got which serial number, one line a step, never changed.

Thing name, client id and common name all come from the serial number, so two devices of one
serial number would share a thing and disconnect each other. A line is durable before the station
acts upon it: ``begun`` before anything is made, ``made`` before the device is called made.

A ledger grows for years. So appending looks at the end of the file alone, and who makes a batch
reads the file once and then what was added (`LedgerView`), keeping what concerns the batch.
"""

import fcntl
import logging
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from device.storage.filesystem import make_folder, storage_errors, sync_folder
from factory.errors import BATCH_BUSY, BATCH_UNKNOWN, LEDGER

FILE: Final = "ledger.jsonl"
_LOCK: Final = "ledger.lock"
_WRITTEN: Final = b"the ledger has been written\n"
"""In the lock's file, as soon as there is a line: a ledger that is gone is not begun again."""
_BLOCK: Final = 1 << 20
"""So many bytes of the ledger are in memory at a time; a line has some hundred."""
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
    gc=False,  # no cycles; else the collector walks through a long ledger again and again
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
    error: str = ""
    """The class of the error that a device failed with; ``note`` has its words."""
    seconds: float | None = None
    """How long the making took, where a batch was made."""


@dataclass(frozen=True)
class Contents:
    """What is in the ledger's file."""

    entries: Sequence[Entry]
    torn_line: int | None = None
    """The number of the last line, if a power cut has cut it short."""
    is_ended: bool = True
    """Whether the last line ends with a line feed."""


def read_contents(content: bytes, file: Path, first: int = 1) -> Contents:
    """Return the entries in ``content``; a last line that was cut short counts for nothing.

    ``first`` is the number of its first line in the ``file``.

    Raises:
        LedgerError: another line was not written by the station.
    """
    *lines, rest = content.split(b"\n")
    entries, torn = [], None
    for number, line in enumerate(lines, start=first):
        at = number - first + 1
        follower = lines[at] if at < len(lines) else b""
        entry = _entry(line)
        if entry is not None:
            entries.append(entry)
        elif line and not line.startswith(_TORN) and not follower.startswith(_TORN):
            raise LEDGER.error(f"{file}, line {number} was not written by the station")
    last = _entry(rest)
    if last is not None:
        entries.append(last)
    elif rest:
        torn = len(lines) + first
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
        raise BATCH_UNKNOWN.error(batch=batch)
    return [each for each in last.values() if each.result is Result.MADE]


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _lock_alone(file: Path, batch: str) -> int:
    with storage_errors(file):
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_alone = os.fstat(descriptor).st_nlink > 0  # else its holder has just removed it
    except BlockingIOError:
        is_alone = False
    if not is_alone:
        os.close(descriptor)
        raise BATCH_BUSY.error(batch=batch)
    return descriptor


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

    def view(self, serial_numbers: Collection[str], device_ids: Collection[str]) -> "LedgerView":
        """Return what the ledger says of these devices, now and later."""
        return LedgerView(self, frozenset(serial_numbers), frozenset(device_ids))

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
        self._note_written()

    def content_from(self, offset: int, at_most: int = -1) -> bytes:
        """Return the file's bytes from ``offset`` on; none before the first line is written.

        Raises:
            LedgerError: the file is gone, or shorter than it was.
        """
        with storage_errors(self.file):
            if self.file.is_fifo() or self.file.is_char_device():
                raise LEDGER.error(f"{self.file} is not a regular file")
            size = self.file.stat().st_size if self.file.exists() else 0
            if not size and self._was_written():
                raise LEDGER.error(f"{self.file} is gone, or empty, and the station had written it")
            if size < offset:
                raise LEDGER.error(f"{self.file} is shorter than it was; lines of it are gone")
            if size == offset:
                return b""
            with self.file.open("rb") as opened:
                opened.seek(offset)
                return opened.read(at_most)

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

    @contextmanager
    def making(self, batch: str) -> Iterator[None]:
        """Keep other processes from making ``batch``: each would begin every device once more.

        Raises:
            BatchBusyError: another process makes it.
        """
        make_folder(self._folder)
        file = self._folder / f"batch-{batch}.lock"
        descriptor = _lock_alone(file, batch)
        try:
            yield
        finally:
            file.unlink(missing_ok=True)
            os.close(descriptor)

    def _ending(self) -> bytes:
        """Return what ends a last line that was cut short: a ledger is only ever added to."""
        if self._is_ended():
            return b""
        torn_line = self._contents().torn_line
        return b"\n" if torn_line is None else b"\n%s%d}\n" % (_TORN, torn_line)

    def _is_ended(self) -> bool:
        """Tell whether the file ends with a whole line; it is not read for that."""
        with storage_errors(self.file):
            size = self.file.stat().st_size if self.file.exists() else 0
        return self.content_from(max(size - 1, 0)) in {b"", b"\n"}

    def _was_written(self) -> bool:
        return self._lock.is_file() and self._lock.stat().st_size > 0

    def _note_written(self) -> None:
        """Make the names durable, and note once that there is a ledger."""
        if self._was_written():
            return
        sync_folder(self._folder)
        with storage_errors(self._lock), self._lock.open("wb") as lock:
            lock.write(_WRITTEN)
            lock.flush()
            os.fsync(lock.fileno())

    def _contents(self) -> Contents:
        return read_contents(self.content_from(0), self.file)


class LedgerView:
    """What the ledger says of some devices; each look reads only what was added since the last."""

    def __init__(
        self, ledger: Ledger, serial_numbers: frozenset[str], device_ids: frozenset[str]
    ) -> None:
        """Look at nothing yet; use ``Ledger.view``."""
        self._ledger = ledger
        self._serial_numbers = serial_numbers
        self._device_ids = device_ids
        self._offset, self._line = 0, 1
        self._by_serial_number: dict[str, list[Entry]] = {}
        self._by_device_id: dict[str, list[Entry]] = {}

    def refresh(self) -> None:
        """Read what was added; hold the lock (``locked``).

        Raises:
            LedgerError: a line was not written by the station, or lines are gone.
        """
        while content := self._ledger.content_from(self._offset, _BLOCK):
            whole = _whole_lines(content, is_end=len(content) < _BLOCK)
            if not whole and len(content) == _BLOCK:
                words = f"{self._ledger.file}, line {self._line} was not written by the station"
                raise LEDGER.error(words)
            found = content if len(content) < _BLOCK else content[:whole]
            self._keep(read_contents(found, self._ledger.file, self._line).entries)
            self._offset += whole
            self._line += content.count(b"\n", 0, whole)
            if len(content) < _BLOCK:
                return

    def _keep(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            if entry.serial_number in self._serial_numbers:
                self._by_serial_number.setdefault(entry.serial_number, []).append(entry)
            if entry.device_id in self._device_ids:
                self._by_device_id.setdefault(entry.device_id, []).append(entry)

    def of_serial_number(self, serial_number: str) -> Sequence[Entry]:
        """Return the entries of this serial number, oldest first."""
        return self._by_serial_number.get(serial_number, ())

    def of_device_id(self, device_id: str) -> Sequence[Entry]:
        """Return the entries of this device id, oldest first."""
        return self._by_device_id.get(device_id, ())


def _whole_lines(content: bytes, *, is_end: bool) -> int:
    """Return how many bytes are whole lines; of a block, but the last, which may be torn."""
    end = content.rfind(b"\n") + 1
    return end if is_end else (content.rfind(b"\n", 0, max(end - 1, 0)) + 1 or end)


def _entry(line: bytes) -> Entry | None:
    try:
        return msgspec.json.decode(line, type=Entry)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
