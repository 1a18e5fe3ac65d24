"""A folder of which one file, written again and again, stays open."""

import os
from pathlib import Path

from device.storage.filesystem import OsFs, storage_error, sync_content


class FolderWithOpenFile(OsFs):
    """An `OsFs` that keeps the file open that was overwritten last, until it is unlinked.

    What is synced there stays in the cache: the next overwrite need not read the block first.
    """

    def __init__(self, folder: Path) -> None:
        """Begin without an open file."""
        super().__init__(folder)
        self._name = ""
        self._place = folder
        self._descriptor = -1

    def overwrite(self, name: str, data: bytes) -> None:
        """Make ``data`` the content of the file ``name``; its size changes only if it has to."""
        try:
            size = self._open(name)
            written = os.pwrite(self._descriptor, data, 0)
            while written < len(data):
                written += os.pwrite(self._descriptor, data[written:], written)
            if size > len(data):
                os.ftruncate(self._descriptor, len(data))
        except OSError as error:
            raise storage_error(self._place, error) from error

    def fsync(self, name: str) -> None:
        """Make the content durable."""
        if name != self._name:
            super().fsync(name)
            return
        try:
            sync_content(self._descriptor)
        except OSError as error:
            raise storage_error(self._place, error) from error

    def unlink(self, name: str) -> None:
        """Remove the name, and close the file if it is the open one."""
        if name == self._name:
            self._close()
        super().unlink(name)

    def _open(self, name: str) -> int:
        """Have ``name`` open, and return its size; someone may have removed what was open."""
        if name == self._name:
            found = os.fstat(self._descriptor)
            if found.st_nlink:
                return found.st_size
        self._close()
        self._place = self._folder / name
        self._descriptor = os.open(self._place, os.O_WRONLY | os.O_NOFOLLOW)
        self._name = name
        return os.fstat(self._descriptor).st_size

    def _close(self) -> None:
        descriptor, self._descriptor, self._name = self._descriptor, -1, ""
        if descriptor >= 0:
            os.close(descriptor)

    def __del__(self) -> None:
        self._close()
