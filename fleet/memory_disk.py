"""A device's disk that ends in memory: the folder is read once, and never written."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from device.errors.storage import STORAGE_FAILURE
from device.storage.filesystem import Fs, OsFs


class MemoryDisk:
    """Plays the disk of one device; what is written outlives a power cut, as on a real one."""

    def __init__(self) -> None:
        """Begin with what the folders hold when they are mounted first."""
        self._folders: Final[dict[Path, MemoryFolder]] = {}

    def mount(self, folder: Path) -> Fs:
        """Return what stands for ``folder``."""
        if folder not in self._folders:
            self._folders[folder] = MemoryFolder(OsFs(folder).read)
        return self._folders[folder]


class MemoryFolder:
    """An `Fs` whose changes stay in memory; every call counts as durable at once."""

    def __init__(self, read: Callable[[str], bytes | None]) -> None:
        """Take from ``read`` what was not changed here."""
        self._read: Final = read
        self._files: Final[dict[str, bytes | None]] = {}

    def read(self, name: str) -> bytes | None:
        """Return the content, or None if there is no such file."""
        if name not in self._files:
            self._files[name] = self._read(name)
        return self._files[name]

    def create(self, name: str, data: bytes, mode: int = 0o600) -> None:  # noqa: ARG002 - of Fs
        """Make a file that must not exist yet."""
        if self.read(name) is not None:
            raise STORAGE_FAILURE.error(f"{name}: File exists")
        self._files[name] = bytes(data)

    def overwrite(self, name: str, data: bytes) -> None:
        """Change a file that must exist."""
        if self.read(name) is None:
            raise STORAGE_FAILURE.error(f"{name}: No such file or directory")
        self._files[name] = bytes(data)

    def fsync(self, name: str) -> None:
        """Have nothing to wait for."""

    def rename(self, source: str, target: str) -> None:
        """Give ``source`` the name ``target``."""
        content = self.read(source)
        if content is None:
            raise STORAGE_FAILURE.error(f"{source}: No such file or directory")
        self._files[target], self._files[source] = content, None

    def unlink(self, name: str) -> None:
        """Remove the name; a missing file is not an error."""
        self._files[name] = None

    def fsync_folder(self) -> None:
        """Have nothing to wait for."""
