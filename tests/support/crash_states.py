"""Every disk that a power cut may legally leave, and a walk over all of them.

The model is the worst that POSIX allows. What was synced is there. Of the names changed in a
folder since its last sync any subset may have reached the disk. Of the data written to a file
since its last sync nothing, all, the head, the tail (zeros before it) or zeros may have. A file
that was overwritten in its place may have the head of one content and the tail of the other.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from tests.support.recording_fs import (
    Acknowledged,
    Content,
    Created,
    FolderSynced,
    Forgotten,
    Operation,
    Overwritten,
    RecordingDisk,
    Renamed,
    Stored,
    Synced,
    Unlinked,
    Written,
)

_RECENT = 8
"""Of so many unsynced names any subset is tried; a store that never syncs has no end of them."""

_NameChange = Created | Renamed | Unlinked


@dataclass
class _File:
    durable: bytes = b""
    pending: list[Written | Overwritten] = field(default_factory=list)
    """What may still be lost; after a failed sync it stays so for ever."""
    doomed: bool = False

    def variants(self) -> Iterator[bytes]:
        found = [self.durable]
        for write in self.pending:
            found = [after for before in found for after in _fates(before, write)]
        yield from dict.fromkeys(found)

    def sync(self) -> None:
        for write in self.pending:
            self.durable = _fates(self.durable, write)[0]
        self.pending.clear()


def _fates(before: bytes, write: Written | Overwritten) -> tuple[bytes, ...]:
    """What a write may leave of a file; first, all that was wanted."""
    data, half = write.data, len(write.data) // 2
    zeros = bytes(len(data))
    if isinstance(write, Written):
        fates = (data, b"", data[:half], zeros[:half] + data[half:], zeros)
        return tuple(before + fate for fate in fates)
    mixed = (data[:half] + before[half:], before[:half] + data[half:])
    return (data, before, *mixed, data[:half], zeros)


@dataclass
class _Durability:
    """What is certain and what is open, after some operations on a disk."""

    folders: dict[str, dict[str, int]] = field(default_factory=dict)
    changes: dict[str, list[_NameChange]] = field(default_factory=dict)
    files: dict[int, _File] = field(default_factory=dict)

    @classmethod
    def of(cls, disk: RecordingDisk) -> "_Durability":
        self, inodes = cls(), itertools.count()
        for folder, files in disk.start.items():
            self.folders[folder] = {}
            for name, data in files.items():
                inode = next(inodes)
                self.folders[folder][name] = inode
                self.files[inode] = _File(durable=data)
        return self

    def apply(self, operation: Operation) -> None:
        match operation:
            case Created(folder, _, inode):
                self.files[inode] = _File()
                self.changes.setdefault(folder, []).append(operation)
            case Renamed(folder) | Unlinked(folder):
                self.changes.setdefault(folder, []).append(operation)
            case Written(inode) | Overwritten(inode):
                self.files[inode].pending.append(operation)
            case Synced(inode, failed):
                file = self.files[inode]
                file.doomed |= failed
                if not file.doomed:
                    file.sync()
            case FolderSynced(folder):
                changes = self.changes.pop(folder, [])
                self.folders[folder] = _changed(self.folders.get(folder, {}), changes)
            case Stored(folder, name, inode, data):
                self.files[inode] = _File(durable=data)
                self.folders.setdefault(folder, {})[name] = inode
            case Forgotten(folder, name):
                self.folders.get(folder, {}).pop(name, None)
            case Acknowledged():
                pass

    def disks(self) -> Iterator[Content]:
        """All disks; some may be equal."""
        folders = sorted(self.folders | self.changes)
        for names in itertools.product(*(self._namings(folder) for folder in folders)):
            inodes = sorted({inode for naming in names for inode in naming.values()})
            for data in itertools.product(*(self.files[inode].variants() for inode in inodes)):
                content = dict(zip(inodes, data, strict=True))
                yield {
                    folder: {name: content[inode] for name, inode in naming.items()}
                    for folder, naming in zip(folders, names, strict=True)
                }

    def _namings(self, folder: str) -> Iterator[dict[str, int]]:
        changes = self.changes.get(folder, [])
        older, recent = changes[:-_RECENT], changes[-_RECENT:]
        certain = _changed(self.folders.get(folder, {}), older)
        for size in range(len(recent), -1, -1):
            for subset in itertools.combinations(recent, size):
                yield _changed(certain, subset)


def _changed(names: dict[str, int], changes: Sequence[_NameChange]) -> dict[str, int]:
    names = dict(names)
    for change in changes:
        match change:
            case Created(_, name, inode):
                names[name] = inode
            case Renamed(_, source, target, inode):
                if names.get(source) == inode:
                    del names[source]
                names[target] = inode
            case Unlinked(_, name):
                names.pop(name, None)
    return names


@dataclass
class Exploration:
    """What a walk has seen."""

    states: int = 0
    violations: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class CrashState:
    """One disk after a power cut, and the states it may hold: the acknowledged or the next."""

    disk: Content = field(repr=False)
    cut: int
    allowed: tuple[object, ...] = field(repr=False)


def crash_states(
    disk: RecordingDisk, first_cut: int = 0, unacknowledged: Sequence[object] = ()
) -> Iterator[CrashState]:
    """Cut the power after each operation from ``first_cut`` on; equal disks of a cut come once.

    ``unacknowledged`` is what the record's last commit wanted, where it ended in an error: it
    may be there or not.
    """
    durability = _Durability.of(disk)
    acknowledged = [op.state for op in disk.operations if isinstance(op, Acknowledged)]
    acknowledged += unacknowledged
    passed = 0
    for cut in range(len(disk.operations) + 1):
        if cut:
            durability.apply(disk.operations[cut - 1])
            passed += isinstance(disk.operations[cut - 1], Acknowledged)
        if cut < first_cut or passed == 0:
            continue
        allowed = tuple(acknowledged[passed - 1 : passed + 1])
        seen = set()
        for content in durability.disks():
            fingerprint = frozenset(
                (folder, name, data)
                for folder, files in content.items()
                for name, data in files.items()
            )
            if fingerprint not in seen:
                seen.add(fingerprint)
                yield CrashState(content, cut, allowed)


def explore(
    states: Iterator[CrashState],
    check: Callable[[CrashState], None],
    *,
    stop_at_first: bool = False,
) -> Exploration:
    """Put every state to ``check``, which raises where it finds the store at fault."""
    result = Exploration()
    for state in states:
        result.states += 1
        try:
            check(state)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
            result.violations.append(f"cut {state.cut}: {type(error).__name__}: {error}")
            if stop_at_first:
                break
    return result
