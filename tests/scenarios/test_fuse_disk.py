"""Does a device come home from a real file system that fails at any change of a first boot?

With ``--long``, FUSE and mfusepy (``pip install mfusepy``): `tests.support.fuse_disk`.
"""

import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from device.errors import ExitCode
from device.storage.filesystem import OsFs
from tests.support.errors import exit_code_of
from tests.support.worlds import MemoryWorld, boot, boot_home

if TYPE_CHECKING:
    from tests.support.fuse_disk import FuseDisk

pytestmark = pytest.mark.long

FAULTS = ("ENOSPC", "EIO", "EIO after the fact", "short", "lie", "EROFS from then on")
SERIAL = "SN-1"


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator["FuseDisk"]:
    if find_spec("mfusepy") is None or not shutil.which("fusermount"):
        pytest.skip("pip install mfusepy, and apt-get install fuse libfuse2")
    from tests.support.fuse_disk import fuse_disk  # noqa: PLC0415 - it is optional

    with fuse_disk(tmp_path_factory.mktemp("fuse")) as mounted:
        yield mounted


def made(disk: "FuseDisk", name: str) -> tuple[MemoryWorld, Path]:
    world = MemoryWorld()
    world.mount = OsFs
    return world, world.make_device(disk.mounted / name, SERIAL)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_any_change_is_said_and_the_device_comes_home(
    fault: str, disk: "FuseDisk"
) -> None:
    world, state = made(disk, f"count, {fault}")
    disk.arm()
    boot(world, state)
    changes = disk.arm()
    assert changes > 40
    ends = []
    for change in range(changes):
        world, state = made(disk, f"{change}, {fault}")
        disk.arm(change, fault)
        ends.append(exit_code_of(boot, world, state))
        disk.arm()
        identity = boot_home(world, state)
        assert world.registry(SERIAL).active_certificates == [identity.certificate_id], change

    said = [end for end in ends if end is not ExitCode.DONE]
    print(f"{fault}: {changes} changes, {len(said)} said")  # noqa: T201 - shown with -s
    expected = ExitCode.STORAGE_UNUSABLE if fault.startswith("EROFS") else ExitCode.TRY_LATER
    assert set(said) == (set() if fault == "short" else {expected}), "a short write is gone on with"
