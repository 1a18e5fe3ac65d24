"""Devices that are built in memory and put on the disk in one step, as whole folders.

Nothing of a device counts before it is finished, so nothing of it needs to be durable before: the
files are written and synced once, under another name, and take their place by one rename. After a
cut the folder is there whole, or not at all. It is three times as fast as the same commits on the
disk. A production line goes further: it writes several devices and then syncs them at the same
time (`NewFolders`), so that the file system makes many of them durable by one commit of its own.
"""

import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final

from device.errors.storage import (
    STORAGE_BUSY,
    STORAGE_FAILURE,
    StorageError,
    StorageExistsError,
)
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


Folders = Mapping[str, MemoryFolder]
"""The parts of a device."""
Put = Callable[[Path, Folders], None]


@contextmanager
def device_in_new_folder(out: Path, put: Put | None = None) -> Iterator[DeviceStorage]:
    """Lend a new device in ASSEMBLY_AND_TEST; as it is at the end, it becomes the folder ``out``.

    After an exception there is nothing. Its root of trust is the simulated fuses. ``put`` may be
    that of `NewFolders`; by default the folder is in its place, and durable, at the end.

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
    (put or _put_alone)(out, folders)


def _put_alone(out: Path, folders: Folders) -> None:
    with NewFolders() as alone:
        alone.put(out, folders)
        for error in alone.settle().values():
            raise error


class NewFolders(AbstractContextManager["NewFolders"]):
    """Devices' folders that become durable together, and take their places then."""

    def __init__(self) -> None:
        self._held = ExitStack()
        self._written: dict[Path, Path] = {}
        """The folders' names for now, by those that they are to have."""

    def put(self, out: Path, folders: Folders) -> None:
        """Write the files under another name; nothing is durable, or at ``out``, yet.

        Raises:
            StorageError: as for `device_in_new_folder`.
        """
        if not out.parent.is_dir():
            make_folder(out.parent)
        new = self._held.enter_context(_taken(out.with_name(f".{out.name}.new"), out))
        for name, folder in folders.items():
            _write(new / name, folder)
        self._written[out] = new

    def settle(self) -> Mapping[Path, StorageError]:
        """Make it durable, and let each folder take its place; return those that failed."""
        with ThreadPoolExecutor(max(len(self._written), 1)) as pool:
            errors = pool.map(_placed, self._written.values(), self._written)
            failed = {out: each for out, each in zip(self._written, errors, strict=True) if each}
        for parent in {out.parent for out in self._written}:
            failed = self._unless_synced(parent) | failed
        return failed

    def _unless_synced(self, parent: Path) -> dict[Path, StorageError]:
        try:
            sync_folder(parent)
        except StorageError as error:
            return {out: error for out in self._written if out.parent == parent}
        return {}

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let go of the folders; one that did not take its place is cleared by the next run."""
        self._held.close()


def _placed(new: Path, out: Path) -> StorageError | None:
    """Make a folder durable and give it its name; return what the disk said against it."""
    try:
        for path in (*new.glob("*/*"), *new.iterdir(), new):
            _sync(path)
        _rename(new, out)
    except StorageError as error:
        return error
    return None


def _sync(path: Path) -> None:
    with storage_errors(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


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
    """Write the files, which are not durable yet."""
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


def _write_file(file: Path, content: bytes, mode: int) -> None:
    """Write one file; whoever opens the device reads it back, and checks it."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    try:
        give_to_owner_of(file.parent, descriptor)
        while content:
            content = content[os.write(descriptor, content) :]
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
