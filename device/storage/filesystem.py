"""The few calls a store may make on a disk.

A store speaks to a folder through ``Fs`` alone, so that the tests can put a disk behind it
that loses power between any two calls.
"""

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Protocol

from device.errors import FirstbootError
from device.errors.storage import (
    FILE_EXPOSED,
    INSUFFICIENT_STORAGE,
    STORAGE_ACCESS,
    STORAGE_BUSY,
    STORAGE_FAILURE,
    DataCorruptError,
    StorageError,
)
from device.storage.ownership import give_to_owner_of
from device.storage.private_file import keeps_modes, read_private_file

_MAX_FILE_BYTES: Final = 64 * 1024 * 1024
"""Far more than any file of a device or a station has; a larger one is not read at all."""

BRING_BACK: Final = (
    "Bring the folder back, or mount the disk that it is on. If it is lost, keep a copy of the "
    "state folder, then have the station make the device again."
)
UNFINISHED: Final = ".new"
"""What the name of a file ends in that `replace` has not put into its place yet."""
_LOOK_THERE: Final = (
    "Look at {path}: there is a folder, a file or a link where the storage has something else."
)
_SECRETS: Final = frozenset({"huk", "refused-pins"})
"""Files of a root of trust that nobody else may read; the images are sealed."""


class Fs(Protocol):
    """One flat folder. Nothing is durable before it is synced; every call may raise StorageError.

    ``fsync`` covers the content of a file, ``fsync_folder`` the names: what was created,
    renamed or unlinked (POSIX promises no more, and neither covers the other).
    """

    def read(self, name: str) -> bytes | None:
        """Return the content, or None if there is no such file."""
        ...

    def create(self, name: str, data: bytes, mode: int = 0o600) -> None:
        """Make a file that must not exist yet, and write ``data`` into it."""
        ...

    def overwrite(self, name: str, data: bytes) -> None:
        """Make ``data`` the content of a file that is there; a power cut may leave any mixture."""
        ...

    def fsync(self, name: str) -> None:
        """Make the content durable.

        After a failure abandon the file, never sync it again: the kernel may have dropped what
        it could not write, and would say all is well.
        """
        ...

    def rename(self, source: str, target: str) -> None:
        """Give ``source`` the name ``target``, replacing what had it, in one step."""
        ...

    def unlink(self, name: str) -> None:
        """Remove the name; a missing file is not an error."""
        ...

    def fsync_folder(self) -> None:
        """Make creations, renames and unlinks durable."""
        ...


class Folder(Fs, Protocol):
    """An `Fs` whose files are not known beforehand."""

    def names(self) -> list[str]:
        """Return the names of all files, in any order."""
        ...


Mount = Callable[[Path], Fs]
"""Puts a disk behind a folder; the tests put one there that loses power."""


def replace(fs: Fs, name: str, data: bytes, mode: int = 0o600) -> None:
    """Put ``data`` under ``name``, atomically, and durably on return.

    It is read back before it takes the name, since a disk may lie about what it wrote.

    Raises:
        InsufficientStorageError: the disk is full; the old content is intact.
        StorageFailureError: the disk refused or lied. The old content is intact, unless the
            very last step failed: then it is the old or the new, whole.
    """
    temporary = name + UNFINISHED
    fs.unlink(temporary)
    try:
        fs.create(temporary, data, mode)
        fs.fsync(temporary)
        if fs.read(temporary) != data:
            raise STORAGE_FAILURE.error(f"{name} cannot be read back as written")
        fs.rename(temporary, name)
    except StorageError:
        with suppress(StorageError):
            fs.unlink(temporary)
        raise
    fs.fsync_folder()


def overwrite(fs: Fs, name: str, data: bytes) -> None:
    """Put ``data`` into the place of content that nobody needs any more, durably on return.

    It costs one sync where `replace` costs two.

    Raises:
        StorageError: what is there now may be anything.
    """
    fs.overwrite(name, data)
    fs.fsync(name)
    if fs.read(name) != data:
        raise STORAGE_FAILURE.error(f"{name} cannot be read back as written")


class OsFs:
    """An `Fs` on a real folder, readable by its owner alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, name: str) -> bytes | None:
        path = self._folder / name
        with storage_errors(path):
            try:
                found = read_private_file(path, at_most=_MAX_FILE_BYTES)
            except (FileNotFoundError, NotADirectoryError):
                return None
        if name in _SECRETS and found.is_open_to_others and keeps_modes(found.device):
            raise FILE_EXPOSED.error(path=path, mode=found.mode)
        return found.content

    def create(self, name: str, data: bytes, mode: int = 0o600) -> None:
        path, flags = self._folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with storage_errors(path), _opened(path, flags, mode) as descriptor:
            give_to_owner_of(self._folder, descriptor)
            _write_all(descriptor, data)

    def overwrite(self, name: str, data: bytes) -> None:
        path, flags = self._folder / name, os.O_WRONLY | os.O_NOFOLLOW
        with storage_errors(path), _opened(path, flags) as descriptor:
            _write_all(descriptor, data)
            os.ftruncate(descriptor, len(data))

    def fsync(self, name: str) -> None:
        path = self._folder / name
        with storage_errors(path), _opened(path, os.O_RDONLY) as descriptor:
            sync_content(descriptor)
            if hasattr(os, "posix_fadvise"):  # so that reading back asks the disk, not the cache
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)

    def rename(self, source: str, target: str) -> None:
        path = self._folder / target
        with storage_errors(path):
            (self._folder / source).replace(path)

    def unlink(self, name: str) -> None:
        path = self._folder / name
        with storage_errors(path):
            path.unlink(missing_ok=True)

    def fsync_folder(self) -> None:
        sync_folder(self._folder)

    def names(self) -> list[str]:
        with storage_errors(self._folder):
            return [place.name for place in self._folder.iterdir()]


class FolderLock:
    """The exclusive right to change a folder, held until released or until the process ends."""

    def __init__(self, folder: Path) -> None:
        """Take the lock.

        Raises:
            StorageBusyError: another process has it.
            DataCorruptError: there is no such folder.
        """
        if not folder.is_dir():
            raise DataCorruptError(f"there is no folder {folder}", next_step=BRING_BACK)
        path = folder / "lock"
        with storage_errors(path):
            self._descriptor = _lock_file(path)
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(self._descriptor)
                raise STORAGE_BUSY.error(f"{folder} is in use by another process") from None

    def release(self) -> None:
        """Let others in; releasing twice does no harm."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1


def is_locked(folder: Path) -> bool:
    """Whether another process has the `FolderLock`; to find out, it is shared for an instant."""
    try:
        descriptor = os.open(folder / "lock", os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def make_folder(folder: Path) -> None:
    """Make ``folder`` and its parents, 0700 and durable; an existing folder is closed to others."""
    if not folder.parent.is_dir():
        make_folder(folder.parent)
    with storage_errors(folder):
        if not folder.is_dir() and _made(folder):
            with _opened(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW) as descriptor:
                give_to_owner_of(folder.parent, descriptor)
        folder.chmod(0o700)
    sync_folder(folder.parent)


def _made(folder: Path) -> bool:
    """Make ``folder``; return False if another process, such as a line's, was faster."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        if folder.is_dir():
            return False
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from None
    return True


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable."""
    with storage_errors(folder), _opened(folder, os.O_RDONLY | os.O_DIRECTORY) as descriptor:
        os.fsync(descriptor)


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn what the operating system says about ``path`` into a storage error.

    Raises:
        InsufficientStorageError: the disk, or the user's share of it, is full.
        StorageAccessError: this user may not, or the disk is mounted read-only.
        DataCorruptError: something else stands at ``path``, such as a folder in place of a file.
        StorageFailureError: anything else.
    """
    try:
        yield
    except OSError as error:
        raise storage_error(path, error) from error


def storage_error(path: Path, error: OSError) -> FirstbootError:
    """Return what ``error`` means for the file or folder ``path``: see `storage_errors`."""
    message = f"{path}: {error.strerror}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return INSUFFICIENT_STORAGE.error(message)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return STORAGE_ACCESS.error(message)
    if error.errno in (errno.EISDIR, errno.ENOTDIR, errno.ELOOP):
        return DataCorruptError(message, next_step=_LOOK_THERE.format(path=path))
    return STORAGE_FAILURE.error(message)


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


sync_content: Final = getattr(os, "fdatasync", os.fsync)
"""Without the times of the file, which nobody reads; macOS has only the other."""


def _lock_file(path: Path) -> int:
    """Open the file that is locked, or make it; a link there may lead to anybody's file."""
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        made = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return os.open(path, flags)
    give_to_owner_of(path.parent, made)
    return made


@contextmanager
def _opened(path: Path, flags: int, mode: int = 0o600) -> Iterator[int]:
    descriptor = os.open(path, flags, mode)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
