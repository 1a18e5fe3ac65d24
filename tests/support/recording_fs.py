"""A disk in memory that remembers what was done to it, in order, and can be told to fail.

``RecordingDisk.mount`` gives an ``Fs`` for each folder. The record is what
``tests.support.crash_states`` makes the disks of, that a power cut may leave.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path

from device.errors.storage import INSUFFICIENT_STORAGE, STORAGE_FAILURE

Content = Mapping[str, Mapping[str, bytes]]
"""Folder name -> file name -> bytes: a disk as the next power-on finds it."""


@dataclass(frozen=True)
class Created:
    folder: str
    name: str
    inode: int


@dataclass(frozen=True)
class Written:
    inode: int
    data: bytes = field(repr=False)


@dataclass(frozen=True)
class Overwritten:
    """The content of a file was changed in its place; ``data`` is what should be there."""

    inode: int
    data: bytes = field(repr=False)


@dataclass(frozen=True)
class Synced:
    inode: int
    failed: bool = False


@dataclass(frozen=True)
class Renamed:
    folder: str
    source: str
    target: str
    inode: int


@dataclass(frozen=True)
class Unlinked:
    folder: str
    name: str


@dataclass(frozen=True)
class FolderSynced:
    folder: str


@dataclass(frozen=True)
class Stored:
    """A chip changed its own memory: all of it, and at once."""

    folder: str
    name: str
    inode: int
    data: bytes = field(repr=False)


@dataclass(frozen=True)
class Forgotten:
    """A chip let something in its own memory go, at once."""

    folder: str
    name: str


@dataclass(frozen=True)
class Acknowledged:
    """The workload was told that everything up to here is durable; ``state`` is what it holds."""

    state: object = field(repr=False)


Operation = (
    Created
    | Written
    | Overwritten
    | Synced
    | Renamed
    | Unlinked
    | FolderSynced
    | Stored
    | Forgotten
    | Acknowledged
)


class Fault(Enum):
    """What a call on the disk does instead of its duty."""

    NO_SPACE = auto()
    IO_ERROR = auto()
    IO_ERROR_AFTER = auto()
    """The call takes effect, and fails all the same."""
    SHORT_WRITE = auto()
    """Half is written, then the disk is full."""
    LYING_WRITE = auto()
    """Half is written, and success is reported."""


class RecordingDisk:
    """Several folders on one disk, with one record in the order of the calls."""

    def __init__(self, content: Content | None = None) -> None:
        self.operations: list[Operation] = []
        self.faults: dict[int, Fault] = {}
        """Which call (counted from 0 over all folders, reads included) fails in which way."""
        self.calls = 0
        self.start: Content = {folder: dict(files) for folder, files in (content or {}).items()}
        self.names: dict[str, dict[str, int]] = {}
        self.data: dict[int, bytes] = {}
        for folder, files in self.start.items():
            self.names[folder] = {}
            for name, data in files.items():
                self.names[folder][name] = self.new_inode(data)

    def new_inode(self, data: bytes = b"") -> int:
        self.data[len(self.data)] = data
        return len(self.data) - 1

    def mount(self, folder: Path) -> "RecordingFs":
        return RecordingFs(self, folder.name)

    def store(self, folder: str, name: str, data: bytes | None) -> None:
        """Change what a chip holds; None lets it go."""
        names = self.names.setdefault(folder, {})
        if data is None:
            names.pop(name, None)
            self.operations.append(Forgotten(folder, name))
            return
        names[name] = self.new_inode(data)
        self.operations.append(Stored(folder, name, names[name], data))

    def acknowledge(self, state: object) -> None:
        self.operations.append(Acknowledged(state))

    def content(self) -> Content:
        """What a process sees now, durable or not."""
        return {
            folder: {name: self.data[inode] for name, inode in names.items()}
            for folder, names in self.names.items()
        }

    def after_a_killed_process(self, operations: Iterable[Operation]) -> "RecordingDisk":
        """The same machine up to here in the record: its cache lives, unsynced as it was."""
        disk = RecordingDisk(self.start)
        disk.operations = list(operations)
        for operation in disk.operations:
            match operation:
                case Created(folder, name, inode):
                    disk.data[inode] = b""
                    disk.names.setdefault(folder, {})[name] = inode
                case Written(inode, data):
                    disk.data[inode] += data
                case Overwritten(inode, data):
                    disk.data[inode] = data
                case Renamed(folder, source, target, inode):
                    del disk.names[folder][source]
                    disk.names[folder][target] = inode
                case Unlinked(folder, name):
                    del disk.names[folder][name]
                case Stored(folder, name, inode, data):
                    disk.data[inode] = data
                    disk.names.setdefault(folder, {})[name] = inode
                case Forgotten(folder, name):
                    disk.names[folder].pop(name, None)
                case _:
                    pass
        return disk

    def next_fault(self) -> Fault | None:
        self.calls += 1
        return self.faults.get(self.calls - 1)


class RecordingFs:
    """One folder of a ``RecordingDisk``, as an ``Fs``."""

    def __init__(self, disk: RecordingDisk, folder: str) -> None:
        self._disk = disk
        self._folder = folder
        self._names = disk.names.setdefault(folder, {})

    @property
    def disk(self) -> RecordingDisk:
        return self._disk

    def read(self, name: str) -> bytes | None:
        self._raise_before(self._disk.next_fault(), name)
        return self._disk.data[self._names[name]] if name in self._names else None

    def create(self, name: str, data: bytes, mode: int = 0o600) -> None:
        fault = self._disk.next_fault()
        self._raise_before(fault, name)
        assert name not in self._names, f"{name} exists"
        if fault in (Fault.SHORT_WRITE, Fault.LYING_WRITE):
            data = data[: len(data) // 2]
        inode = self._disk.new_inode(data)
        self._names[name] = inode
        self._disk.operations += [Created(self._folder, name, inode), Written(inode, data)]
        if fault is Fault.SHORT_WRITE:
            raise INSUFFICIENT_STORAGE.error(f"{name}: simulated: full after half of it")
        self._raise_after(fault, name)

    def overwrite(self, name: str, data: bytes) -> None:
        fault = self._disk.next_fault()
        self._raise_before(fault, name)
        inode = self._names[name]
        if fault in (Fault.SHORT_WRITE, Fault.LYING_WRITE):
            half = len(data) // 2
            data = data[:half] + self._disk.data[inode][half:]
        self._disk.data[inode] = data
        self._disk.operations.append(Overwritten(inode, data))
        if fault is Fault.SHORT_WRITE:
            raise INSUFFICIENT_STORAGE.error(f"{name}: simulated: full after half of it")
        self._raise_after(fault, name)

    def fsync(self, name: str) -> None:
        fault = self._disk.next_fault()
        # A failed fsync may leave the kernel with pages that it will never write: see Fs.fsync.
        failed = fault in (Fault.NO_SPACE, Fault.IO_ERROR, Fault.IO_ERROR_AFTER)
        self._disk.operations.append(Synced(self._names[name], failed=failed))
        self._raise_before(fault, name)
        self._raise_after(fault, name)

    def rename(self, source: str, target: str) -> None:
        fault = self._disk.next_fault()
        self._raise_before(fault, target)
        inode = self._names.pop(source)
        self._names[target] = inode
        self._disk.operations.append(Renamed(self._folder, source, target, inode))
        self._raise_after(fault, target)

    def unlink(self, name: str) -> None:
        fault = self._disk.next_fault()
        self._raise_before(fault, name)
        if name in self._names:
            del self._names[name]
            self._disk.operations.append(Unlinked(self._folder, name))
        self._raise_after(fault, name)

    def fsync_folder(self) -> None:
        fault = self._disk.next_fault()
        self._raise_before(fault, self._folder)
        self._disk.operations.append(FolderSynced(self._folder))
        self._raise_after(fault, self._folder)

    def names(self) -> list[str]:
        return list(self._names)

    def _raise_before(self, fault: Fault | None, name: str) -> None:
        if fault is Fault.NO_SPACE:
            raise INSUFFICIENT_STORAGE.error(f"{name}: simulated: no space left")
        if fault is Fault.IO_ERROR:
            raise STORAGE_FAILURE.error(f"{name}: simulated: input/output error")

    def _raise_after(self, fault: Fault | None, name: str) -> None:
        if fault is Fault.IO_ERROR_AFTER:
            raise STORAGE_FAILURE.error(f"{name}: simulated: input/output error")
