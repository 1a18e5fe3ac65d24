"""A real file system that fails when it is told to: FUSE, over a folder.

It runs in a process of its own, ``python -m tests.support.fuse_disk BACKING MOUNTED``, since the
kernel asks it in the middle of the device's calls. It needs ``pip install mfusepy`` and libfuse.
"""

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import mfusepy

from tests.support.hang import SECONDS
from tests.wire.conftest import ROOT, python


class FaultyDisk:
    """Passes calls on to a folder; one of those that change something fails."""

    use_ns = True

    def __init__(self, backing: str) -> None:
        """Begin honest."""
        self._backing: Final = backing
        self._calls, self._struck, self._fault = 0, -1, ""

    def arm(self, call: int, fault: str) -> int:
        """Let the change number ``call`` from now on fail; return how many there were."""
        calls, self._calls, self._struck, self._fault = self._calls, 0, call, fault
        return calls

    def init(self, path: str) -> None:
        """Do nothing: mfusepy calls it."""

    def _at(self, path: str) -> Path:
        return Path(self._backing + path)

    def _change(self) -> str:
        """Count a change; return how it is to fail, in another way than with an error now."""
        call, self._calls = self._calls, self._calls + 1
        is_over = call > self._struck >= 0 and self._fault.startswith("EROFS")
        if call != self._struck and not is_over:
            return ""
        name = self._fault.split()[0]
        if hasattr(errno, name) and "after" not in self._fault:
            raise OSError(getattr(errno, name), name)
        return self._fault

    @staticmethod
    def _then(fault: str) -> int:
        """Fail although it is done, if ``fault`` says so."""
        if "after" in fault:
            raise OSError(errno.EIO, fault)
        return 0

    # --- what changes nothing -------------------------------------------------------------------

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        found = self._at(path).lstat()
        names = ("mode", "nlink", "uid", "gid", "size", "atime_ns", "mtime_ns", "ctime_ns")
        values = {f"st_{name}": getattr(found, f"st_{name}") for name in names}
        return {name.removesuffix("_ns"): value for name, value in values.items()}

    def readdir(self, path: str, fh: int) -> list[str]:
        return [".", "..", *(each.name for each in self._at(path).iterdir())]

    def open(self, path: str, flags: int) -> int:
        return os.open(self._at(path), flags)

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        return os.pread(fh, size, offset)

    def release(self, path: str, fh: int) -> int:
        os.close(fh)
        return 0

    # --- what changes something -----------------------------------------------------------------

    def create(self, path: str, mode: int, fi: Any = None) -> int:
        fault = self._change()
        descriptor = os.open(self._at(path), os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
        self._then(fault)
        return descriptor

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        fault = self._change()
        if fault == "lie":
            os.pwrite(fh, bytes(len(data)), offset)
            return len(data)
        written = os.pwrite(fh, data[: len(data) // 2] if fault == "short" else data, offset)
        return self._then(fault) or written

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        fault = self._change()
        os.truncate(self._at(path), length)
        return self._then(fault)

    def fsync(self, path: str, datasync: int, fh: int) -> int:
        fault = self._change()
        os.fsync(fh)
        return self._then(fault)

    def fsyncdir(self, path: str, datasync: int, fh: int) -> int:
        return self._then(self._change())

    def rename(self, old: str, new: str) -> int:
        fault = self._change()
        self._at(old).rename(self._at(new))
        return self._then(fault)

    def unlink(self, path: str) -> int:
        fault = self._change()
        self._at(path).unlink()
        return self._then(fault)

    def mkdir(self, path: str, mode: int) -> int:
        self._at(path).mkdir(mode)
        return 0

    def chmod(self, path: str, mode: int) -> int:
        self._at(path).chmod(mode)
        return 0

    def chown(self, path: str, uid: int, gid: int) -> int:
        os.chown(self._at(path), uid, gid)
        return 0


class FuseDisk:
    """The mounted file system, as a test sees it."""

    def __init__(self, mounted: Path, process: "subprocess.Popen[str]") -> None:
        """Speak to ``process``."""
        self.mounted: Final = mounted
        self._process: Final = process

    def arm(self, call: int = -1, fault: str = "") -> int:
        """Let a change fail, or none; return how many there were since the last `arm`."""
        assert self._process.stdin is not None
        print(call, fault, file=self._process.stdin, flush=True)
        return int(_line(self._process.stdout))


@contextmanager
def fuse_disk(folder: Path) -> Iterator[FuseDisk]:
    """Mount such a file system below ``folder``."""
    backing, mounted = folder / "backing", folder / "mounted"
    backing.mkdir()
    mounted.mkdir()
    command = python("-m", "tests.support.fuse_disk", str(backing), str(mounted))
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert _line(process.stdout) == "mounted"
            yield FuseDisk(mounted, process)
        finally:
            words = ["fusermount", "-u", "-z", str(mounted)]
            subprocess.run(words, check=True, timeout=SECONDS)


def _line(stream: IO[str] | None) -> str:
    assert stream is not None
    return stream.readline().strip()


def _listen(disk: FaultyDisk, mounted: Path) -> None:
    while not mounted.is_mount():
        pass
    print("mounted", flush=True)  # noqa: T201 - to the test
    for line in sys.stdin:
        call, _, fault = line.strip().partition(" ")
        print(disk.arm(int(call), fault), flush=True)  # noqa: T201 - to the test


def main(backing: str, mounted: str) -> None:
    """Serve until it is unmounted."""
    disk = FaultyDisk(backing)
    threading.Thread(target=_listen, args=(disk, Path(mounted)), daemon=True).start()
    mfusepy.FUSE(disk, mounted, foreground=True, nothreads=True, direct_io=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
