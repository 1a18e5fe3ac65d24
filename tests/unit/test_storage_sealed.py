"""Does the sealed store notice what was done to its files, and say it rightly?"""

import hashlib
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from device.errors.storage import (
    NEWER_FORMAT,
    ROLLED_BACK,
    DataCorruptError,
    WrongDeviceError,
)
from device.storage.device_storage import open_device_storage
from device.storage.entries import Entries, Entry, Service
from device.storage.filesystem import OsFs
from device.storage.formats import FORMAT
from device.storage.image import Sealer
from device.storage.roots.file_fuses import FileFuses
from device.storage.roots.root_of_trust import Anchor
from device.storage.secure_storage import StorageFlag, Uid
from tests.support.errors import raises
from tests.support.recording_fs import Fault, FolderSynced, Overwritten, RecordingDisk, Synced
from tests.support.sealed_device import make_device

JOURNAL = Uid.PROVISIONING_JOURNAL
SECRET = b"the-secret-in-the-journal"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    state = make_device(tmp_path / "device")
    write(state, SECRET)
    return state


def write(state: Path, value: bytes) -> None:
    with open_device_storage(state) as storage:
        storage.ps.set(JOURNAL, value)


def journal(state: Path) -> bytes:
    with open_device_storage(state, read_only=True) as storage:
        return storage.ps.get(JOURNAL)


def images(state: Path) -> dict[str, bytes]:
    return {name: (state / "storage" / name).read_bytes() for name in ("image-a", "image-b")}


def put_back(state: Path, content: dict[str, bytes]) -> None:
    for name, image in content.items():
        (state / "storage" / name).write_bytes(image)


def mirror_of(state: Path) -> str:
    """The copy that the last commit wrote last."""
    with open_device_storage(state, read_only=True) as storage:
        return ("image-b", "image-a")[storage.generation % 2]


def sealer_of(state: Path) -> Sealer:
    return Sealer(FileFuses(OsFs(state / "fuses")))


# --- what lies on the disk ---------------------------------------------------------


def test_the_image_shows_neither_content_nor_serial(state: Path) -> None:
    for image in images(state).values():
        assert SECRET not in image
        assert b"SN-1" not in image


def test_both_copies_are_the_same_after_a_commit(state: Path) -> None:
    assert len(set(images(state).values())) == 1


def test_no_two_images_share_a_key_or_a_byte_of_ciphertext(state: Path) -> None:
    sealer = sealer_of(state)
    entries = {(Service.PS, 1): Entry(bytes(64), StorageFlag.NONE)}
    first, second = sealer.seal(1, entries), sealer.seal(1, entries)
    assert first[34:66] != second[34:66]  # the salt
    assert first[66:] != second[66:]


def syncs_of_commits(folder: Path, disk: RecordingDisk, count: int) -> list[list[object]]:
    """Return the syncs of each of the first commits of a process."""
    (folder / "storage").mkdir()
    make_device(folder, disk.mount)
    with open_device_storage(folder, mount=disk.mount) as storage:
        found: list[list[object]] = []
        for number in range(count):
            before = len(disk.operations)
            storage.ps.set(JOURNAL, b"commit %d" % number)
            calls = disk.operations[before:]
            found.append([type(op) for op in calls if isinstance(op, Synced | FolderSynced)])
    return found


def test_a_commit_costs_four_syncs_and_not_one_more(tmp_path: Path) -> None:
    first, *others = syncs_of_commits(tmp_path, RecordingDisk(), 3)
    assert first == [Synced, FolderSynced] * 3
    assert others == [[Synced, Synced, FolderSynced, Synced]] * 2


def test_a_commit_is_made_though_the_other_copy_cannot_be_read(tmp_path: Path) -> None:
    disk = RecordingDisk()
    (tmp_path / "storage").mkdir()
    make_device(tmp_path, disk.mount)
    with open_device_storage(tmp_path, mount=disk.mount) as storage:
        storage.ps.set(JOURNAL, b"both copies are this process's own")
        disk.faults = {disk.calls: Fault.IO_ERROR}
        storage.ps.set(JOURNAL, b"next")
        assert disk.calls > max(disk.faults)
    with open_device_storage(tmp_path, read_only=True, mount=disk.mount) as storage:
        assert storage.ps.get(JOURNAL) == b"next"


def test_the_last_whole_copy_is_not_written_into(tmp_path: Path) -> None:
    disk = RecordingDisk()
    (tmp_path / "storage").mkdir()
    make_device(tmp_path, disk.mount)
    with open_device_storage(tmp_path, mount=disk.mount) as storage:
        storage.ps.set(JOURNAL, b"both copies are this process's own")
        names = disk.names["storage"]
        mirror, whole = (names[name] for name in ("image-a", "image-b"))
        if storage.generation % 2:
            mirror, whole = whole, mirror
        disk.data[mirror] = disk.data[mirror][:-1] + bytes(1)  # rot
        storage.ps.set(JOURNAL, b"next")
    assert [op for op in disk.operations if isinstance(op, Overwritten) and op.inode == whole] == []


# --- one file damaged --------------------------------------------------------------


@pytest.mark.parametrize("name", ["image-a", "image-b"])
@pytest.mark.parametrize(
    "damage", [lambda image: image[:0], lambda image: image[:-1], lambda image: bytes(len(image))]
)
def test_one_damaged_copy_is_restored_and_said_with_a_warning(
    state: Path, name: str, damage: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    before = images(state)
    put_back(state, {name: damage(before[name])})
    assert journal(state) == SECRET
    open_device_storage(state).close()
    assert images(state) == before
    assert [(record.levelname, record.name) for record in caplog.records] == [
        ("WARNING", "device.storage")
    ]
    assert name in caplog.text


@pytest.mark.parametrize("name", ["image-a", "image-b"])
def test_one_missing_copy_is_restored(state: Path, name: str) -> None:
    before = images(state)
    (state / "storage" / name).unlink()
    open_device_storage(state).close()
    assert images(state) == before


def test_a_reader_repairs_nothing(state: Path) -> None:
    put_back(state, {"image-a": b""})
    assert journal(state) == SECRET
    assert images(state)["image-a"] == b""


def test_an_interrupted_mirror_is_completed_and_said_as_information(
    state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old = images(state)
    write(state, b"newer")
    mirror = mirror_of(state)
    put_back(state, {mirror: old[mirror]})
    with caplog.at_level(logging.INFO, "device.storage"):
        open_device_storage(state).close()
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("INFO", f"{mirror} completed after an interrupted commit")
    ]
    assert old[mirror] not in images(state).values()


@pytest.mark.parametrize("values", [[b"1", b"2"], [b"1", b"2", b"3"]])
def test_a_copy_too_old_for_an_interrupted_commit_is_said_with_a_warning(
    state: Path, caplog: pytest.LogCaptureFixture, values: list[bytes]
) -> None:
    old = images(state)
    for value in values:
        write(state, value)
    put_back(state, {mirror_of(state): old["image-a"]})
    open_device_storage(state).close()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert len(set(images(state).values())) == 1


# --- both files damaged, old or foreign --------------------------------------------


def test_both_copies_damaged_is_corrupt_and_names_them(state: Path) -> None:
    put_back(state, dict.fromkeys(images(state), b"garbage"))
    with pytest.raises(DataCorruptError, match=r"image-a: .*image-b: "):
        open_device_storage(state)


def test_both_copies_missing_is_corrupt(state: Path) -> None:
    for name in images(state):
        (state / "storage" / name).unlink()
    with pytest.raises(DataCorruptError):
        open_device_storage(state)


def test_every_single_byte_is_authenticated(state: Path) -> None:
    image, sealer = images(state)["image-a"], sealer_of(state)
    assert sealer.unseal(image)
    for position in range(len(image)):
        damaged = bytearray(image)
        damaged[position] ^= 0x80
        with pytest.raises((DataCorruptError, WrongDeviceError)):
            sealer.unseal(bytes(damaged))


def test_old_images_put_back_are_refused(state: Path) -> None:
    old = images(state)
    write(state, b"newer")
    put_back(state, old)
    for read_only in (True, False):
        with raises(ROLLED_BACK, match=r"generation 4 .*image-a: 3; image-b: 3"):
            open_device_storage(state, read_only=read_only)
    assert images(state) == old


def test_one_old_image_beside_a_damaged_one_is_refused_as_old(state: Path) -> None:
    old = images(state)
    write(state, b"newer")
    put_back(state, {"image-a": old["image-a"], "image-b": b"garbage"})
    with raises(ROLLED_BACK):
        open_device_storage(state)


def test_a_storage_copied_to_another_device_does_not_open(state: Path, tmp_path: Path) -> None:
    other = make_device(tmp_path / "other")
    put_back(other, images(state))
    with pytest.raises(WrongDeviceError):
        open_device_storage(other)


def test_a_storage_does_not_open_under_another_root_key(state: Path, tmp_path: Path) -> None:
    other = make_device(tmp_path / "other")
    (state / "fuses" / "huk").unlink()
    shutil.copy(other / "fuses" / "huk", state / "fuses" / "huk")
    with pytest.raises(WrongDeviceError):
        open_device_storage(state)


def test_a_cloned_disk_opens_and_get_info_says_that_it_would(state: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    shutil.copytree(state, clone)
    write(state, b"newer")
    with open_device_storage(clone) as storage:
        assert storage.ps.get(JOURNAL) == SECRET
        assert StorageFlag.NO_REPLAY_PROTECTION in storage.ps.get_info(JOURNAL).flags


@pytest.mark.parametrize("read_only", [True, False])
def test_a_lost_anchor_is_corrupt_and_not_a_blank_one(state: Path, read_only: bool) -> None:
    (state / "fuses" / "anchor").unlink()
    with pytest.raises(DataCorruptError, match="anchor"):
        open_device_storage(state, read_only=read_only)


def test_an_authentic_image_of_something_else_is_corrupt(state: Path) -> None:
    sealer = sealer_of(state)
    no_entries = cast(Entries, {(Service.ITS,): Entry(b"", StorageFlag.NONE)})
    with pytest.raises(DataCorruptError, match="its entries cannot be read"):
        sealer.unseal(sealer.seal(1, no_entries))


# --- formats -----------------------------------------------------------------------


@pytest.mark.parametrize("read_only", [True, False])
def test_a_storage_of_newer_firmware_is_refused_and_left_as_it_is(
    state: Path, *, read_only: bool
) -> None:
    fuses = FileFuses(OsFs(state / "fuses"))
    newer = {name: with_format(image, FORMAT + 1) for name, image in images(state).items()}
    put_back(state, {"image-a": newer["image-a"], "image-b": b"cut short"})
    digest = hashlib.sha256(newer["image-a"]).digest()
    fuses.write_anchor(Anchor(fuses.read_anchor().generation + 1, digest))
    before = images(state)

    with (
        raises(NEWER_FORMAT, match=f"in format {FORMAT + 1}"),
        open_device_storage(state, read_only=read_only),
    ):
        pass

    assert images(state) == before


def with_format(image: bytes, number: int) -> bytes:
    return image[:8] + number.to_bytes(2, "big") + image[10:]
