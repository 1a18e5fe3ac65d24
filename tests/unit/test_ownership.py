"""Does root leave a device to its owner, and does nobody else read its secrets, unnoticed?"""

import os
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from device.errors.storage import DATA_CORRUPT, FILE_EXPOSED, UnfitFileError
from device.runtime.claim_socket import listening_at
from device.storage.device_storage import open_device_storage
from device.storage.filesystem import FolderLock, OsFs, make_folder, replace
from device.storage.lifecycle import Lifecycle
from device.storage.ownership import Owner, give_to_owner_of, owner_for
from device.storage.private_file import keeps_modes, read_private_file
from device.storage.secure_storage import Uid
from tests.support.errors import raises
from tests.support.hang import SECONDS
from tests.support.sealed_device import make_device

PI = Owner(1000, 1001)


@pytest.mark.parametrize(
    ("folder", "user", "given_to"),
    [
        (PI, 0, PI),
        (Owner(0, 0), 0, None),
        (PI, 1000, None),
        (PI, 1002, None),  # nobody but root can give a file away
    ],
)
def test_to_whom_a_new_file_goes(folder: Owner, user: int, given_to: Owner | None) -> None:
    assert owner_for(folder, user) == given_to


@pytest.fixture
def of_somebody_else(tmp_path: Path) -> Path:
    """Return a folder of another user, where we are root; else one of ours, which is as good."""
    folder = tmp_path / "pi"
    folder.mkdir()
    if os.geteuid() == 0:
        os.chown(folder, *PI)
    return folder


def owners_in(folder: Path) -> set[tuple[int, int]]:
    return {(path.lstat().st_uid, path.lstat().st_gid) for path in [folder, *folder.rglob("*")]}


def test_what_is_made_in_a_folder_is_its_owners(of_somebody_else: Path) -> None:
    expected = owners_in(of_somebody_else)
    state = make_device(of_somebody_else / "device")
    with open_device_storage(state) as storage:
        storage.ps.set(Uid.ENDPOINT, b"localhost:8883")

    names = {path.name for path in state.rglob("*")}
    assert {"lock", "huk", "image-a", "image-b", "anchor", "lifecycle"} <= names
    assert owners_in(of_somebody_else) == expected


def test_the_socket_for_a_claim_is_its_folders_owners(of_somebody_else: Path) -> None:
    expected = owners_in(of_somebody_else)

    with closing(listening_at(of_somebody_else / "claim")):
        assert owners_in(of_somebody_else) == expected
        assert stat.S_IMODE((of_somebody_else / "claim").lstat().st_mode) == 0o600


def test_a_link_in_place_of_the_lock_gives_nothing_away(tmp_path: Path) -> None:
    target = tmp_path / "shadow"
    target.write_text("root's")
    make_folder(tmp_path / "storage")
    (tmp_path / "storage" / "lock").symlink_to(target)

    with raises(DATA_CORRUPT, match="lock"):
        FolderLock(tmp_path / "storage")

    assert target.stat().st_uid == os.geteuid()


def test_what_is_no_socket_is_not_given_away(of_somebody_else: Path) -> None:
    file = of_somebody_else / "claim"
    file.write_text("put here by someone")
    before = owners_in(of_somebody_else)

    give_to_owner_of(of_somebody_else, file)

    assert owners_in(of_somebody_else) == before


# Secrets that others may read.


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return make_device(tmp_path / "device")


def opens(state: Path) -> bool:
    with open_device_storage(state, read_only=True) as storage:
        return storage.lifecycle is Lifecycle.SECURED


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o444, 0o410])
@pytest.mark.parametrize("read_only", [True, False])
def test_a_root_key_that_others_may_read_is_refused(
    state: Path, mode: int, *, read_only: bool
) -> None:
    huk = state / "fuses" / "huk"
    huk.chmod(mode)

    with raises(FILE_EXPOSED, match=f"mode {mode:04o}") as raised:
        open_device_storage(state, read_only=read_only)

    assert f"chmod 600 {huk}" in raised.value.next_step
    huk.chmod(0o600)
    assert opens(state)


def test_refused_pins_that_others_may_read_are_refused(tmp_path: Path) -> None:
    fs = OsFs(tmp_path)
    replace(fs, "refused-pins", b"x")
    (tmp_path / "refused-pins").chmod(0o640)

    with raises(FILE_EXPOSED):
        fs.read("refused-pins")


def test_sealed_images_may_be_read_by_anybody(state: Path) -> None:
    for name in ("image-a", "image-b"):
        (state / "storage" / name).chmod(0o644)

    assert opens(state)


MOUNTS = (
    "22 1 8:2 / / rw,relatime shared:1 - ext4 /dev/sda2 rw\n"
    "23 22 8:1 / /boot/firmware rw,relatime shared:2 - vfat /dev/sda1 rw,fmask=0022\n"
)


@pytest.mark.parametrize(("minor", "kept"), [(2, True), (1, False), (9, True)])
def test_whether_a_file_system_keeps_modes(tmp_path: Path, minor: int, *, kept: bool) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)

    assert keeps_modes(os.makedev(8, minor), mounts) is kept


def test_without_mountinfo_modes_count(tmp_path: Path) -> None:
    assert keeps_modes(0, tmp_path / "none")


# Files of others.


def test_a_file_that_is_none_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")

    for path in (tmp_path / "fifo", tmp_path, Path("/dev/zero")):
        with pytest.raises(UnfitFileError, match="not a regular file"):
            read_private_file(path, at_most=100)


def test_a_state_folder_with_a_fifo_in_it_is_said(state: Path) -> None:
    for name in ("image-a", "image-b"):
        (state / "storage" / name).unlink()
        os.mkfifo(state / "storage" / name)

    with pytest.raises(UnfitFileError):
        open_device_storage(state)


# The process.

ASK = """
import ctypes, resource
from device.cli import main
main(["status", "--state", "/nowhere"])
print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE)[0])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_a_device_leaves_no_core_dump_and_lets_nobody_look(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
        timeout=SECONDS,
    )

    assert done.stdout.split() == ["0", "0"]


def test_modes_are_those_of_a_private_folder(state: Path) -> None:
    modes = {stat.S_IMODE(path.stat().st_mode) for path in state.rglob("*")}

    assert modes <= {0o700, 0o600, 0o400}
