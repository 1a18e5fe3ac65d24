"""How far a batch has come: one small file, replaced whole, durable before the next step.

It holds no secret: keys stay in the devices, and a device remembers itself whether it is
SECURED. So only what is decided for the batch as a whole is written down here.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Final

import msgspec

from device.storage.filesystem import FolderLock, Fs, OsFs, make_folder, replace
from factory.account.cloud import Account
from factory.errors import BATCH_JOURNAL, OTHER_ACCOUNT

_FILE: Final = "journal.json"


class Line(msgspec.Struct):
    """One device of the batch."""

    serial_number: str
    folder: str
    certificate_id: str | None = None
    """Set when the device is SECURED."""
    problem: str | None = None
    """Set when AWS or the device refused; in their own words."""
    next_step: str = ""
    """What to do about the problem."""
    attempts: int = 0
    """In how many tasks it was."""
    attributes: dict[str, str] = {}
    """Parameters of the template, besides serial number and CSR."""

    @property
    def is_open(self) -> bool:
        """Whether something is still to be done about it."""
        return self.certificate_id is None and self.problem is None

    @property
    def is_begun(self) -> bool:
        """Whether this batch has made something of the device already."""
        return self.attempts > 0 or self.certificate_id is not None

    def fail(self, problem: str, next_step: str) -> None:
        """Note that the device was refused."""
        self.problem, self.next_step = problem, next_step


class Attempt(msgspec.Struct):
    """One registration task, from the moment at which its file was decided upon."""

    key: str
    """Of its file in the bucket; no other attempt of any station has it."""
    serial_numbers: dict[str, str]
    """By fingerprint of the device's key, in the order of the file's lines."""
    task_id: str | None = None


class Batch(msgspec.Struct):
    """The batch: its devices, and the attempt that is under way."""

    name: str
    account_id: str
    region: str
    lines: list[Line]
    attempt: Attempt | None = None
    attempts: int = 0
    template: str = ""
    """The template, if it is not that of the method."""

    @property
    def open_lines(self) -> list[Line]:
        """The devices that are not finished and have not failed."""
        return [line for line in self.lines if line.is_open]

    @property
    def failed_lines(self) -> list[Line]:
        """The devices that AWS, or the device itself, refused."""
        return [line for line in self.lines if line.problem is not None]

    def retry(self) -> None:
        """Open the lines again that failed."""
        for line in self.failed_lines:
            line.problem = None

    def by_serial_number(self) -> dict[str, Line]:
        """Return the devices by serial number; whoever needs many asks once."""
        return {line.serial_number: line for line in self.lines}

    def check_account(self, account: Account) -> None:
        """Raise unless the batch was started in this account and Region.

        Raises:
            OtherAccountError: it was started elsewhere.
        """
        if (self.account_id, self.region) != (account.account_id, account.region):
            raise OTHER_ACCOUNT.error(
                f"batch {self.name} was begun in account {self.account_id}, {self.region}, and the "
                f"credentials are for {account}"
            )


def new_batch(name: str, account: Account, folders: Mapping[str, Path]) -> Batch:
    """Return a batch that is to be begun; ``folders`` are the devices' by serial number."""
    lines = [Line(serial_number, str(folder)) for serial_number, folder in folders.items()]
    return Batch(name, account.account_id, account.region, lines)


def new_attempt(batch: Batch, serial_numbers: dict[str, str]) -> Attempt:
    """Return an attempt that is to be started."""
    return Attempt(f"{batch.name}/{batch.attempts}-{token_hex(4)}.jsonl", serial_numbers)


class Journal:
    """The file of one batch."""

    def __init__(self, fs: Fs, folder: Path) -> None:
        """Use ``fs``, which is ``folder``."""
        self._fs = fs
        self._folder = folder

    def load(self) -> Batch | None:
        """Return the batch; None if none was begun.

        Raises:
            BatchJournalError: the file is not what was written.
        """
        content = self._fs.read(_FILE)
        if content is None:
            return None
        try:
            return msgspec.json.decode(content, type=Batch)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BATCH_JOURNAL.error(f"{self._folder / _FILE} cannot be read: {error}") from error

    def save(self, batch: Batch) -> None:
        """Write the batch, durably on return.

        Raises:
            StorageError: the disk refused; what was written before is intact.
        """
        replace(self._fs, _FILE, msgspec.json.encode(batch))


def read_batch(folder: Path) -> Batch | None:
    """Return the batch whose journal is in ``folder``, to look at it; None if there is none.

    Raises:
        BatchJournalError: the file is not what was written.
        StorageError: the disk refused.
    """
    return Journal(OsFs(folder), folder).load() if folder.is_dir() else None


@contextmanager
def open_journal(folder: Path) -> Iterator[Journal]:
    """Open the journal in ``folder`` for this process alone.

    Raises:
        StorageBusyError: another process runs this batch.
        StorageError: the disk refused.
    """
    make_folder(folder)
    lock = FolderLock(folder)
    try:
        yield Journal(OsFs(folder), folder)
    finally:
        lock.release()
