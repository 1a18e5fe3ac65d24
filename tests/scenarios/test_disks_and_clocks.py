"""A disk that fails at any call of a first boot, and a clock that jumps at any moment of one."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
import pytest

from device.config.methods import CLAIM_METHODS, PRESENTED_METHODS
from device.errors import ExitCode, FirstbootError
from device.errors.storage import STORAGE_ACCESS
from tests.support.clock import FakeClock
from tests.support.effort import is_long, one_in
from tests.support.errors import exit_code_of
from tests.support.power import PowerSupply
from tests.support.recording_fs import Fault, RecordingDisk, RecordingFs
from tests.support.worlds import MemoryWorld, boot, boot_home

SERIAL: Final = "SN-1"


def new_world(method: str) -> MemoryWorld:
    world = MemoryWorld()
    world.settings = msgspec.structs.replace(world.settings, method=method)
    return world


def make(world: MemoryWorld, state: Path) -> Path:
    """Make a device of the world's method; its cloud knows it, where the station registers it."""
    if world.settings.method in CLAIM_METHODS:
        return world.make_device(state, SERIAL)
    leaf = world.make_device_with_leaf(state, SERIAL)
    world.cloud.register_leaf(leaf, SERIAL)
    return state


def assert_home(world: MemoryWorld, state: Path) -> None:
    identity = boot_home(world, state)
    assert world.registry(SERIAL).active_certificates == [identity.certificate_id]


# --- disks -----------------------------------------------------------------------------------


def on_recording_disk(state: Path) -> tuple[MemoryWorld, RecordingDisk]:
    world, disk = new_world("claim"), RecordingDisk()
    world.mount = disk.mount
    make(world, state)
    disk.calls = 0
    return world, disk


def calls_of_a_boot(folder: Path) -> int:
    world, disk = on_recording_disk(folder)
    boot(world, folder)
    return disk.calls


SAID: Final = {ExitCode.DONE, ExitCode.TRY_LATER}
"""How a boot may end: a fault of the second copy alone only warns."""


@pytest.mark.parametrize("fault", Fault)
def test_a_fault_at_any_call_is_said_and_the_next_boot_goes_on(
    fault: Fault, tmp_path: Path
) -> None:
    calls = calls_of_a_boot(tmp_path / "count")
    assert calls > 70
    for call in one_in(11, range(calls)):
        state = tmp_path / str(call)
        world, disk = on_recording_disk(state)
        disk.faults = {call: fault}
        assert exit_code_of(boot, world, state) in SAID, call
        disk.faults.clear()

        assert_home(world, state)


class ReadOnlyFrom(RecordingFs):
    """A disk that the kernel mounts read-only when it finds errors, from one call on."""

    writes = 0
    last_write = 10**9

    def create(self, name: str, data: bytes, mode: int = 0o600) -> None:
        self._count()
        super().create(name, data, mode)

    def overwrite(self, name: str, data: bytes) -> None:
        self._count()
        super().overwrite(name, data)

    def fsync(self, name: str) -> None:
        self._count()
        super().fsync(name)

    def rename(self, source: str, target: str) -> None:
        self._count()
        super().rename(source, target)

    def unlink(self, name: str) -> None:
        self._count()
        super().unlink(name)

    def fsync_folder(self) -> None:
        self._count()
        super().fsync_folder()

    def _count(self) -> None:
        ReadOnlyFrom.writes += 1
        if ReadOnlyFrom.writes > ReadOnlyFrom.last_write:
            raise STORAGE_ACCESS.error("simulated: read-only file system")

    @staticmethod
    def allow(writes: int) -> None:
        """Begin to count, and let so many calls through."""
        ReadOnlyFrom.writes, ReadOnlyFrom.last_write = 0, writes


def on_failing_disk(state: Path) -> MemoryWorld:
    ReadOnlyFrom.allow(10**9)
    world, disk = new_world("claim"), RecordingDisk()
    world.mount = lambda folder: ReadOnlyFrom(disk, folder.name)
    make(world, state)
    return world


def writes_of_a_boot(folder: Path) -> int:
    world = on_failing_disk(folder)
    ReadOnlyFrom.allow(10**9)
    boot(world, folder)
    return ReadOnlyFrom.writes


def test_a_disk_that_becomes_read_only_at_any_call_is_said_and_the_next_boot_goes_on(
    tmp_path: Path,
) -> None:
    for last_write in one_in(5, range(writes_of_a_boot(tmp_path / "count"))):
        state = tmp_path / str(last_write)
        world = on_failing_disk(state)
        ReadOnlyFrom.allow(last_write)
        with pytest.raises(FirstbootError) as caught:
            boot(world, state)
        assert caught.value.row is STORAGE_ACCESS, last_write
        ReadOnlyFrom.allow(10**9)

        assert_home(world, state)


# --- clocks ----------------------------------------------------------------------------------

DAY: Final = 86_400.0
WRONG: Final[dict[str, Callable[[float], float]]] = {
    "1970": lambda now: -now + 60.0,
    "a day behind": lambda _: -DAY,
    "a day ahead": lambda _: DAY,
    "2100": lambda now: 4_102_444_800.0 - now,
}
"""How wrong a clock is, by what the time is."""


class SkewedClock(FakeClock):
    """A device's clock: time passes as in its cloud, but it may show another one."""

    def __init__(self, right: FakeClock) -> None:
        super().__init__()
        self._right = right
        self.offset = 0.0

    def wall(self) -> float:
        return self._right.wall() + self.offset

    def monotonic(self) -> float:
        return self._right.monotonic()


class JumpAt(PowerSupply):
    """Counts the moments of a boot; at one of them the clock jumps."""

    def __init__(self, clock: SkewedClock, moment: int, offset: float) -> None:
        super().__init__()
        self._clock, self._moment, self._offset = clock, moment, offset

    def tick(self) -> None:
        super().tick()
        if self.moments == self._moment:
            self._clock.offset = self._offset


def moments_of_a_boot(method: str, folder: Path) -> int:
    world, supply = new_world(method), PowerSupply()
    boot(world, make(world, folder), supply=supply)
    return supply.moments


def jumps(method: str, folder: Path) -> Iterator[int]:
    """Yield the moments of a boot: 0 is before the power comes."""
    yield 0
    yield from one_in(50, range(1, moments_of_a_boot(method, folder) + 1))


METHODS: Final = (
    [*CLAIM_METHODS, *PRESENTED_METHODS]
    if is_long()
    else ["claim", "claim-aws-keys", PRESENTED_METHODS[0]]
)


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("method", METHODS)
def test_a_clock_that_jumps_at_any_moment_bricks_nothing(
    wrong: str, method: str, tmp_path: Path
) -> None:
    for moment in jumps(method, tmp_path / "count"):
        world = new_world(method)
        state = make(world, tmp_path / str(moment))
        clock = world.clock = SkewedClock(world.cloud.clock)
        offset = WRONG[wrong](clock.wall())
        clock.offset = 0.0 if moment else offset
        with suppress(FirstbootError):  # a trusted user's claim may be too old by this clock
            boot(world, state, supply=JumpAt(clock, moment, offset))
        clock.offset = 0.0  # NTP

        assert_home(world, state)


# --- a real disk -----------------------------------------------------------------------------


@pytest.mark.long
def test_a_real_tmpfs_that_is_full_is_said_and_with_room_the_boot_goes_on(tmp_path: Path) -> None:
    """In a namespace of its own, where the kernel lets this user mount."""
    alone = ["unshare", "--user", "--map-root-user", "--mount"]
    probe = subprocess.run([*alone, "true"], check=False, capture_output=True, timeout=60)
    if probe.returncode:
        pytest.skip("this kernel lets nobody but root mount")
    words = [*alone, sys.executable, "-m", "tests.support.full_tmpfs", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=300)

    ends = [line.split(maxsplit=2) for line in done.stdout.splitlines()]
    assert {how for _, how, _ in ends} == {"TRY_LATER", "DONE"}
    assert {registry for *_, registry in ends} == {"one"}
