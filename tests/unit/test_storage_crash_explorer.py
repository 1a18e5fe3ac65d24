"""Does the crash explorer see? Stores that leave out one step of the protocol must be caught."""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import pytest

from device.errors.storage import StorageError
from device.storage.entries import Entry, Service
from device.storage.filesystem import overwrite, replace
from device.storage.roots.file_fuses import FileFuses
from device.storage.roots.root_of_trust import Anchor, RootOfTrust
from device.storage.roots.tpm_root import Record, TpmRoot
from device.storage.sealed import COPIES, SealedStore
from device.storage.secure_storage import StorageFlag
from tests.support.crash_states import CrashState, Exploration, crash_states, explore
from tests.support.fake_tpm import FakeTpm, RecordedMemory
from tests.support.recording_fs import Fault, RecordingDisk, RecordingFs

KEY = (Service.PS, 1)


class NoFileSync(RecordingFs):
    def fsync(self, name: str) -> None:
        """Leave the content in the cache."""


class NoFolderSync(RecordingFs):
    def fsync_folder(self) -> None:
        """Leave the names in the cache."""


class NoReadBack(RecordingFs):
    """Believes the disk: reading back shows what was meant to be written."""

    def __init__(self, disk: RecordingDisk, folder: str) -> None:
        super().__init__(disk, folder)
        self._meant: dict[str, bytes] = {}

    def create(self, name: str, data: bytes, mode: int = 0o600) -> None:
        self._meant[name] = data
        super().create(name, data, mode)

    def read(self, name: str) -> bytes | None:
        return self._meant.get(name) or super().read(name)


class SecondSyncAfterAFailure(RecordingFs):
    """Syncs again when a sync fails, and believes the second answer."""

    def fsync(self, name: str) -> None:
        try:
            super().fsync(name)
        except StorageError:
            super().fsync(name)


class SingleImage(SealedStore):
    @staticmethod
    def _in_order(generation: int) -> tuple[str, str]:  # noqa: ARG004 - that is what is broken
        return COPIES[0], COPIES[0]


class AnchorBeforeImage(SealedStore):
    def _commit(self) -> None:
        generation = self._anchor.generation + 1
        image = self._sealer.seal(generation, self._entries)
        self._advance(Anchor(generation, hashlib.sha256(image).digest()))
        for name in self._in_order(generation):
            replace(self._fs, name, image)
        self._refusal = None


class MirrorBeforeAnchor(SealedStore):
    """Overwrites the copy that still counts."""

    def _commit(self) -> None:
        generation = self._anchor.generation + 1
        image = self._sealer.seal(generation, self._entries)
        first, second = self._in_order(generation)
        replace(self._fs, first, image)
        self._mirror(second, image)
        self._advance(Anchor(generation, hashlib.sha256(image).digest()))
        self._refusal = None


class WhateverCopyMatches(SealedStore):
    """Takes the first copy that matches for the one that is surely on the disk."""

    def _in_order(self, generation: int) -> tuple[str, str]:  # type: ignore[override] # looks
        kept = next((name for name in COPIES if self._holds_the_anchor(name)), COPIES[0])
        other = COPIES[1 - COPIES.index(kept)]
        return (kept, other) if generation == self._anchor.generation else (other, kept)

    def _holds_the_anchor(self, name: str) -> bool:
        return hashlib.sha256(self._fs.read(name) or b"").digest() == self._anchor.digest


class TrustsAFileThatDidNotSync(SealedStore):
    """Writes into it again, and believes the sync that then succeeds."""

    def _put_first(self, name: str, image: bytes, _: str) -> None:
        (replace if self._fs.read(name) is None else overwrite)(self._fs, name, image)


class OnTpm(TpmRoot):
    """Our root of trust; its chip is in the record of the disk."""

    def __init__(self, fs: RecordingFs) -> None:
        super().__init__(fs, FakeTpm(RecordedMemory(fs.disk)))


class TpmBeforeFile(OnTpm):
    """Lets the chip name an anchor that is not on the disk yet."""

    def _write(self, record: Record) -> None:
        super()._extend(record)
        super()._write(record)

    def _extend(self, record: Record) -> None:
        """It is done."""


class NeverSettled(FileFuses):
    def recover(self) -> None:
        """Take what the cache shows for what the disk holds."""


@dataclass(frozen=True)
class Design:
    """A way to build the store; the defaults are ours."""

    fs: type[RecordingFs] = RecordingFs
    store: type[SealedStore] = SealedStore
    fuses: Callable[[RecordingFs], RootOfTrust] = FileFuses
    judge: Callable[[RecordingFs], RootOfTrust] = FileFuses
    """The root of trust by which our own store looks at what a broken one left behind."""

    def fuses_on(self, disk: RecordingDisk) -> RootOfTrust:
        return self.fuses(self.fs(disk, "fuses"))

    def store_on(self, disk: RecordingDisk) -> SealedStore:
        return self.store(self.fs(disk, "storage"), self.fuses_on(disk))

    def opened_on(self, disk: RecordingDisk) -> SealedStore:
        self.fuses_on(disk).recover()
        store = self.store_on(disk)
        store.load(read_only=False)
        return store

    def device(self) -> RecordingDisk:
        disk = RecordingDisk()
        self.fuses_on(disk).burn()
        self.store_on(disk).create()
        return disk


def commit(store: SealedStore, disk: RecordingDisk, value: bytes) -> None:
    with store.transaction() as entries:
        entries[KEY] = Entry(value, StorageFlag.NONE)
    disk.acknowledge(value)


def value_on(disk: RecordingDisk, design: Design) -> bytes:
    """What our own store finds: it is the judge of what a broken one left behind."""
    store = Design(fuses=design.judge).store_on(disk)
    store.load(read_only=True)
    entry = store.entries.get(KEY)
    return entry.data if entry else b""


def judge(design: Design) -> Callable[[CrashState], None]:
    def check(crash: CrashState) -> None:
        assert value_on(RecordingDisk(crash.disk), design) in crash.allowed

    return check


def power_cuts(design: Design) -> Exploration:
    disk = design.device()
    disk.acknowledge(b"")
    store = design.store_on(disk)
    store.load(read_only=False)
    for value in (b"one", b"two", b"three"):
        commit(store, disk, value)
    return explore(crash_states(disk), judge(design), stop_at_first=True)


def kills_and_power_cuts(design: Design) -> Exploration:
    """Kill the process anywhere in a commit; the next one commits, and its power is cut."""
    result, life = Exploration(), RecordingDisk(design.device().content())
    commit(design.opened_on(life), life, b"one")
    start = len(life.operations)
    commit(design.opened_on(life), life, b"two")
    for cut in range(start, len(life.operations)):
        disk = life.after_a_killed_process(life.operations[:cut])
        store = design.opened_on(disk)
        disk.acknowledge(value_on(disk, design))
        commit(store, disk, b"three")
        found = explore(crash_states(disk, first_cut=cut), judge(design), stop_at_first=True)
        result.states += found.states
        result.violations += found.violations
    return result


def disk_faults(design: Design, fault: Fault) -> Exploration:
    """Let the disk fail once, at each call of a commit; then cut the power at each operation.

    The copies are the process's own by then, and a commit that failed is tried again.
    """
    result, device = Exploration(), design.device().content()
    calls = 0
    while True:
        disk = RecordingDisk(device)
        store = design.opened_on(disk)
        disk.acknowledge(b"")
        commit(store, disk, b"own")
        disk.faults = {disk.calls + calls: fault}
        try:
            commit(store, disk, b"one")
            unacknowledged = []
        except StorageError:
            unacknowledged = [b"one"]
            with suppress(StorageError):  # it may say that it has to be opened again
                commit(store, disk, b"one")
        if disk.calls <= max(disk.faults):
            return result
        states = crash_states(disk, unacknowledged=unacknowledged)
        found = explore(states, judge(design), stop_at_first=True)
        result.states += found.states
        result.violations += found.violations
        calls += 1


OURS = [Design(), Design(fuses=OnTpm, judge=OnTpm)]


@pytest.mark.parametrize("design", OURS)
def test_our_store_survives_every_power_cut(design: Design) -> None:
    result = power_cuts(design)
    assert result.violations == []
    assert result.states > 100


@pytest.mark.parametrize("design", OURS)
def test_our_store_survives_kills_before_power_cuts(design: Design) -> None:
    result = kills_and_power_cuts(design)
    assert result.violations == []
    assert result.states > 500


@pytest.mark.parametrize("design", OURS)
@pytest.mark.parametrize("fault", Fault)
def test_our_store_survives_a_fault_of_the_disk_before_every_power_cut(
    fault: Fault, design: Design
) -> None:
    result = disk_faults(design, fault)
    assert result.violations == []
    assert result.states > 200


@pytest.mark.parametrize(
    "broken",
    [
        Design(fs=NoFileSync),
        Design(fs=NoFolderSync),
        Design(store=SingleImage),
        Design(store=AnchorBeforeImage),
        Design(store=MirrorBeforeAnchor),
        Design(fuses=TpmBeforeFile, judge=OnTpm),
    ],
)
def test_a_power_cut_catches(broken: Design) -> None:
    assert power_cuts(broken).violations


@pytest.mark.parametrize("broken", [Design(store=WhateverCopyMatches), Design(fuses=NeverSettled)])
def test_a_kill_before_the_power_cut_catches(broken: Design) -> None:
    assert power_cuts(broken).violations == []
    assert kills_and_power_cuts(broken).violations


@pytest.mark.parametrize(
    ("broken", "fault"),
    [
        (Design(fs=NoReadBack), Fault.LYING_WRITE),
        (Design(fs=SecondSyncAfterAFailure), Fault.IO_ERROR),
        (Design(store=TrustsAFileThatDidNotSync), Fault.IO_ERROR),
    ],
)
def test_a_fault_of_the_disk_catches(broken: Design, fault: Fault) -> None:
    assert power_cuts(broken).violations == []
    assert disk_faults(broken, fault).violations
