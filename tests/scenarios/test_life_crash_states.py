"""Whatever a power cut leaves of a write, is a renewal, a reset or an end of life where it can be?

Here the disk is the worst that POSIX allows, inside every write. What may be stored is what a
process that was killed between two writes leaves; from each of these the tests of power cuts
(``test_renewal_power_cuts.py``, ``test_reset_power_cuts.py``) lead the device home.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from device.lifecycle import journal
from device.lifecycle.reset import decommission, reset
from device.storage.device_storage import DeviceStorage, open_device_storage
from device.storage.lifecycle import Lifecycle
from tests.support.crash_states import CrashState, crash_states, explore
from tests.support.effort import one_in
from tests.support.recording_fs import RecordingDisk
from tests.support.renewals import renew
from tests.support.worlds import MemoryWorld, boot

SERIAL = "SN-1"
DEAD = "decommissioned"
Held = frozenset[tuple[str, int, bytes]] | str


def resets(world: MemoryWorld, state: Path) -> None:
    with open_device_storage(state, mount=world.mount) as storage:
        reset(storage)


def decommissions(world: MemoryWorld, state: Path) -> None:
    decommission(state, mount=world.mount)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Only the lock lies here; all else is on the recording disk."""
    (tmp_path / "device" / "storage").mkdir(parents=True)
    return tmp_path / "device"


def held_by(storage: DeviceStorage) -> Held:
    services = {"its": storage.its, "ps": storage.ps}
    return frozenset((name, uid, s.get(uid)) for name, s in services.items() for uid in s.uids())


def seen(state: Path, disk: RecordingDisk) -> Held:
    """What a process finds, when one working identity or the end of the device is there."""
    with open_device_storage(state, read_only=True, mount=disk.mount) as storage:
        if storage.lifecycle is Lifecycle.DECOMMISSIONED:
            return DEAD
        identity, progress = journal.load_identity(storage.ps), journal.load(storage.ps)
        kept = identity or progress
        assert isinstance(kept, journal.Identity | journal.Registered)
        assert kept.key in storage.keys.keys()  # noqa: SIM118 - a KeyStore is no dict
        return held_by(storage)


@pytest.mark.parametrize(("act", "contents"), [(renew, 6), (resets, 2), (decommissions, 2)])
def test_inside_every_write(
    state: Path,
    act: Callable[[MemoryWorld, Path], object],
    contents: int,
    record_property: Callable[[str, object], None],
) -> None:
    world, disk = MemoryWorld(), RecordingDisk()
    world.mount = disk.mount
    world.make_device(state, SERIAL)
    boot(world, state)
    before = RecordingDisk(disk.content())
    world.mount = before.mount
    before.acknowledge(None)
    act(world, state)
    after_kill = partial(before.after_a_killed_process)
    moments = range(len(before.operations) + 1)
    found = {seen(state, after_kill(before.operations[:moment])) for moment in moments}

    def check(crash: CrashState) -> None:
        assert seen(state, RecordingDisk(crash.disk)) in found

    explored = explore(one_in(2, crash_states(before)), check)

    record_property("states of the disk, contents", (act.__name__, explored.states, len(found)))
    print(f"\n{act.__name__}: {explored.states} disks, {len(found)} contents")  # noqa: T201
    assert explored.violations == []
    assert len(found) == contents
