"""A device that is built in memory and put on the disk in one step, as a whole folder.

Nothing of a device counts before it is finished, so nothing of it needs to be durable before: the
files are written and synced once, under another name, and take their place by one rename. After a
cut the folder is there whole, or not at all. It is three times as fast as the same commits on the
disk, which is why a production line makes its devices so.
"""

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from device.errors.storage import STORAGE_BUSY, STORAGE_FAILURE, StorageExistsError
from device.storage.device_storage import DeviceStorage
from device.storage.filesystem import make_folder, storage_errors, sync_folder
from device.storage.ownership import give_to_owner_of
from device.storage.roots.root_plan import FILE, make_root
from device.storage.sealed import SealedStore

_FUSES: Final = "fuses"
_STORAGE: Final = "storage"


class MemoryFolder:
    """An `Fs` whose files are in memory, until they are put on the disk."""

    def __init__(self) -> None:
        self.files: dict[str, tuple[bytes, int]] = {}
        """Content and mode by name."""

    def read(self, name: str) -> bytes | None:
        """Return the content, or None."""
        return self.files[name][0] if name in self.files else None

    def create(self, name: str, data: bytes, mode: int = 0o600) -> None:
        """Make a file that does not exist yet."""
        if name in self.files:
            raise STORAGE_FAILURE.error(f"{name}: {os.strerror(errno.EEXIST)}")
        self.files[name] = data, mode

    def overwrite(self, name: str, data: bytes) -> None:
        """Change a file that is there."""
        self.files[name] = data, self.files[name][1]

    def fsync(self, name: str) -> None:
        """Do nothing: the folder is synced when it is put on the disk."""

    def rename(self, source: str, target: str) -> None:
        """Give ``source`` the name ``target``."""
        self.files[target] = self.files.pop(source)

    def unlink(self, name: str) -> None:
        """Remove the name, if it is there."""
        self.files.pop(name, None)

    def fsync_folder(self) -> None:
        """Do nothing, as `fsync`."""


@contextmanager
def device_in_new_folder(out: Path) -> Iterator[DeviceStorage]:
    """Lend a new device in ASSEMBLY_AND_TEST; as it is at the end, it becomes the folder ``out``.

    After an exception there is nothing. Its root of trust is the simulated fuses.

    Raises:
        StorageExistsError: there is something at ``out`` by now.
        StorageBusyError: another process makes the device there.
        InsufficientStorageError, StorageFailureError: the disk refused.
    """
    folders = {_FUSES: MemoryFolder(), _STORAGE: MemoryFolder()}
    root = make_root(FILE, folders[_FUSES])
    root.burn()
    store = SealedStore(folders[_STORAGE], root)
    store.create()
    with DeviceStorage(store, None) as storage:
        yield storage
    _put(out, folders)


def _put(out: Path, folders: Mapping[str, MemoryFolder]) -> None:
    if not out.parent.is_dir():
        make_folder(out.parent)
    with _taken(out.with_name(f".{out.name}.new"), out) as new:
        for name, folder in folders.items():
            _write(new / name, folder)
        sync_folder(new)
        _rename(new, out)
    sync_folder(out.parent)


@contextmanager
def _taken(new: Path, out: Path) -> Iterator[Path]:
    """Lend the folder ``new``, empty, to this process alone."""
    with storage_errors(new):
        new.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(new, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        _lock(descriptor, new, out)
        give_to_owner_of(new.parent, descriptor)
        with storage_errors(new):
            for left in list(new.iterdir()):  # by a process that was cut
                shutil.rmtree(left)
        yield new
    finally:
        os.close(descriptor)


def _lock(descriptor: int, new: Path, out: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise STORAGE_BUSY.error(f"{out} is being made by another process") from None
    if not new.exists() or not os.path.samestat(new.stat(), os.fstat(descriptor)):
        raise StorageExistsError(f"{out} was made by another process just now")


def _write(place: Path, folder: MemoryFolder) -> None:
    """Write the files, and make them durable."""
    with storage_errors(place):
        place.mkdir(mode=0o700)
        descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
        try:
            give_to_owner_of(place.parent, descriptor)
        finally:
            os.close(descriptor)
    for name, (content, mode) in folder.files.items():
        with storage_errors(place / name):
            _write_file(place / name, content, mode)
    sync_folder(place)


def _write_file(file: Path, content: bytes, mode: int) -> None:
    """Write one file and sync it; whoever opens the device reads it back, and checks it."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    try:
        give_to_owner_of(file.parent, descriptor)
        while content:
            content = content[os.write(descriptor, content) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _rename(new: Path, out: Path) -> None:
    try:
        new.rename(out)
    except OSError as error:
        if error.errno in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
            raise StorageExistsError(f"there is something at {out} already") from error
        with storage_errors(out):
            raise
