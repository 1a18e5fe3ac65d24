"""A disk that fails at any call of a renewal, a reset or a decommissioning."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from device.errors import ExitCode
from device.errors.storage import DECOMMISSIONED
from device.lifecycle import journal
from device.lifecycle.reset import decommission, reset
from device.storage.device_storage import open_device_storage
from tests.exhaustive.cloud import copied
from tests.support.effort import one_in
from tests.support.errors import exit_code_of, raises
from tests.support.recording_fs import Content, Fault, RecordingDisk
from tests.support.renewals import assert_one_identity, identity_of, renew, renew_home
from tests.support.simulated_cloud import SimulatedCloud
from tests.support.worlds import MemoryWorld, boot, boot_home

SERIAL: Final = "SN-1"
STATE: Final = Path("/device")
TOLD: Final = {ExitCode.DONE, ExitCode.TRY_LATER}
"""How it may end: nothing is corrupt, and a fault of the second copy alone only warns."""


@dataclass(frozen=True)
class Proven:
    """A proven device: what is on its disk, and what its cloud has."""

    content: Content
    cloud: SimulatedCloud

    def again(self) -> tuple[MemoryWorld, RecordingDisk]:
        """Return a world of its own in which nothing has failed yet."""
        world, disk = MemoryWorld(), RecordingDisk(self.content)
        world.cloud = copied(self.cloud)
        world.clock, world.mount = world.cloud.clock, disk.mount
        return world, disk


@pytest.fixture(scope="module")
def proven() -> Proven:
    world, disk = MemoryWorld(), RecordingDisk()
    world.mount = disk.mount
    world.make_device(STATE, SERIAL)
    boot(world, STATE)
    return Proven(disk.content(), world.cloud)


def do_renew(world: MemoryWorld) -> None:
    renew(world, STATE)


def do_reset(world: MemoryWorld) -> None:
    with open_device_storage(STATE, mount=world.mount) as storage:
        reset(storage)


def do_decommission(world: MemoryWorld) -> None:
    decommission(STATE, mount=world.mount)


def assert_renewed(world: MemoryWorld) -> None:
    renew_home(world, STATE)
    assert_one_identity(world, STATE, SERIAL)


def assert_reset(world: MemoryWorld) -> None:
    before = world.cloud.active_certificates(SERIAL)
    do_reset(world)
    assert boot_home(world, STATE).certificate_id == before[0]
    assert identity_of(world, STATE).certificate_id == before[0]


def assert_decommissioned(world: MemoryWorld) -> None:
    do_decommission(world)
    with (
        open_device_storage(STATE, read_only=True, mount=world.mount) as storage,
        raises(DECOMMISSIONED),
    ):
        journal.load_identity(storage.ps)


Deed = Callable[[MemoryWorld], None]
DEEDS: Final[dict[str, tuple[Deed, Deed]]] = {
    "renewal": (do_renew, assert_renewed),
    "reset": (do_reset, assert_reset),
    "decommission": (do_decommission, assert_decommissioned),
}


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("name", DEEDS)
def test_a_fault_at_any_call_is_said_and_the_next_try_ends_it(
    name: str, fault: Fault, proven: Proven, record_property: Callable[[str, object], None]
) -> None:
    deed, assert_done = DEEDS[name]
    world, disk = proven.again()
    deed(world)
    calls = disk.calls
    assert calls > 10
    for call in one_in(9, range(calls)):
        world, disk = proven.again()
        disk.faults = {call: fault}
        assert exit_code_of(deed, world) in TOLD, call
        disk.faults.clear()

        assert_done(world)
    record_property(f"{name}, {fault.name}", calls)


@pytest.mark.parametrize("name", DEEDS)
def test_a_disk_that_fails_from_a_call_on_is_said_and_a_new_one_ends_it(
    name: str, proven: Proven
) -> None:
    deed, assert_done = DEEDS[name]
    world, disk = proven.again()
    deed(world)
    calls = disk.calls
    for call in one_in(9, range(calls)):
        world, disk = proven.again()
        disk.faults = dict.fromkeys(range(call, 100_000), Fault.IO_ERROR)
        assert exit_code_of(deed, world) in TOLD, call
        disk.faults.clear()

        assert_done(world)
