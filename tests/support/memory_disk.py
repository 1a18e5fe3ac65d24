"""A disk in memory: for tests that cut the power thousands of times and do not test fsync."""

from collections import defaultdict
from pathlib import Path

from device.storage.filesystem import Folder


class MemoryDisk:
    """Folders by path; what was written stays until the disk is forgotten."""

    def __init__(self) -> None:
        self._folders: defaultdict[Path, dict[str, bytes]] = defaultdict(dict)

    def mount(self, folder: Path) -> Folder:
        """Return the folder behind ``folder``, which need not exist anywhere else."""
        return _Folder(self._folders[folder])

    def places(self) -> list[tuple[Path, str]]:
        """Return where the files are."""
        return [(folder, name) for folder, files in self._folders.items() for name in files]

    def places_of(self, *names: str) -> list[tuple[Path, str]]:
        """Return where files of these names are."""
        return [place for place in self.places() if place[1] in names]

    def content(self, folder: Path, name: str) -> bytes:
        """Return what is in a file."""
        return self._folders[folder][name]

    def with_file(self, places: list[tuple[Path, str]], content: bytes) -> "MemoryDisk":
        """Return a copy of this disk with ``content`` in each of ``places``."""
        other = MemoryDisk()
        for folder, files in self._folders.items():
            other._folders[folder] = dict(files)
        for folder, name in places:
            other._folders[folder][name] = content
        return other


class _Folder:
    def __init__(self, files: dict[str, bytes]) -> None:
        self._files = files

    def read(self, name: str) -> bytes | None:
        return self._files.get(name)

    def create(self, name: str, data: bytes, mode: int = 0o600) -> None:
        assert name not in self._files, name
        self._files[name] = data

    def overwrite(self, name: str, data: bytes) -> None:
        assert name in self._files, name
        self._files[name] = data

    def fsync(self, name: str) -> None:
        assert name in self._files, name

    def rename(self, source: str, target: str) -> None:
        self._files[target] = self._files.pop(source)

    def unlink(self, name: str) -> None:
        self._files.pop(name, None)

    def fsync_folder(self) -> None:
        pass

    def names(self) -> list[str]:
        return list(self._files)
