"""Reading a file that someone else has put there: what it is, is asked of the open file.

What a path leads to may change between a look and the opening, and opening may be enough to do
harm: a FIFO blocks, a link leads elsewhere, a device node acts. So the path is looked at first,
opened without waiting, and everything that counts is then asked of the descriptor.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from msgspec import Struct

from device.errors.storage import UnfitFileError

_CHUNK: Final = 65_536
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_MOUNTS: Final = Path("/proc/self/mountinfo")
_WITHOUT_MODES: Final = frozenset(
    {"vfat", "msdos", "exfat", "ntfs", "ntfs3", "fuseblk", "cifs", "smb3", "drvfs", "hfsplus"}
)


class PrivateFile(Struct, frozen=True):
    """What was read, and who may do what with the file that it was read from."""

    content: bytes
    mode: int
    """Permissions, such as 0o600."""
    owner: int
    """User id."""
    device: int
    """Number of the file system that it is on."""
    version: tuple[int, ...]
    """Another one, once the file is replaced or written to."""

    @property
    def is_open_to_others(self) -> bool:
        """Whether its group or anybody may do anything with it."""
        return bool(self.mode & _OTHERS)


def read_private_file(path: Path, *, at_most: int, follow_links: bool = True) -> PrivateFile:
    """Return what is in the regular file at ``path``, if it has ``at_most`` bytes.

    Raises:
        UnfitFileError: it is no regular file, a link where none is followed, or too long.
        OSError: it cannot be opened or read; FileNotFoundError if it is not there.
    """
    _check_kind(path, path.stat(follow_symlinks=follow_links))
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
    with _opened(path, flags if follow_links else flags | os.O_NOFOLLOW) as descriptor:
        status = os.fstat(descriptor)
        _check_kind(path, status)
        content = _content(descriptor, at_most + 1) if status.st_size <= at_most else b""
        if max(status.st_size, len(content)) > at_most:
            raise UnfitFileError(f"{path} is longer than {at_most} bytes")
    return PrivateFile(
        content,
        mode=stat.S_IMODE(status.st_mode),
        owner=status.st_uid,
        device=status.st_dev,
        version=_version(status),
    )


def keeps_modes(device: int, mounts: Path = _MOUNTS) -> bool:
    """Whether the file system ``device`` keeps permissions; on FAT every file looks alike."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not Linux
        return True
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in lines:  # proc(5): id, parent, major:minor, ..., "-", type, source, options
        mount, _, kind = line.partition(" - ")
        if mount.split(" ")[2:3] == [number]:
            return kind.split(" ")[0] not in _WITHOUT_MODES
    return True


def _check_kind(path: Path, status: os.stat_result) -> None:
    if stat.S_ISREG(status.st_mode):
        return
    kind = "a link" if stat.S_ISLNK(status.st_mode) else "not a regular file"
    raise UnfitFileError(f"{path} is {kind}")


def _content(descriptor: int, at_most: int) -> bytes:
    content = bytearray()
    while chunk := os.read(descriptor, min(_CHUNK, at_most - len(content))):
        content += chunk
    return bytes(content)


def _version(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
