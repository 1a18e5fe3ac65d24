"""Does the sealed store notice what was done to its files, and say it rightly?"""

import logging
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, cast

import pytest

from device.errors import (
    DataCorruptError,
    InsufficientStorageError,
    RolledBackError,
    StorageError,
    StorageFailureError,
    WrongDeviceError,
)
from device.storage.device_storage import DeviceStorage, Mount, open_device_storage
from device.storage.filesystem import Fs, OsFs
from device.storage.image import Entries, Entry, Sealer, Service
from device.storage.root_of_trust import FileFuses
from device.storage.secure_storage import StorageFlag, Uid
from tests.support.recording_fs import Fault, FolderSynced, RecordingDisk, RecordingFs, Synced
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


def test_a_commit_costs_three_replacements_and_not_one_sync_more(tmp_path: Path) -> None:
    disk = RecordingDisk()
    (tmp_path / "storage").mkdir()
    make_device(tmp_path, disk.mount)
    with open_device_storage(tmp_path, mount=disk.mount) as storage:
        before = len(disk.operations)
        storage.ps.set(JOURNAL, b"one commit")
    syncs = [type(op) for op in disk.operations[before:] if isinstance(op, Synced | FolderSynced)]
    assert syncs == [Synced, FolderSynced] * 3


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


def test_a_copy_too_old_for_an_interrupted_commit_is_said_with_a_warning(
    state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old = images(state)
    for value in (b"1", b"2", b"3"):
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
        with pytest.raises(RolledBackError, match=r"generation 4 .*image-a: 3; image-b: 3"):
            open_device_storage(state, read_only=read_only)
    assert images(state) == old


def test_one_old_image_beside_a_damaged_one_is_refused_as_old(state: Path) -> None:
    old = images(state)
    write(state, b"newer")
    put_back(state, {"image-a": old["image-a"], "image-b": b"garbage"})
    with pytest.raises(RolledBackError):
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
    with pytest.raises(DataCorruptError, match="no entries"):
        sealer.unseal(sealer.seal(1, no_entries))


# --- readers beside a writer -------------------------------------------------------


class OvertakenFs(RecordingFs):
    """The reader's view: before each look at an image, the writer may commit once more."""

    overtake: Callable[[], None]

    def read(self, name: str) -> bytes | None:
        if name.startswith("image"):
            self.overtake()
        return super().read(name)


@pytest.fixture
def overtaken(tmp_path: Path) -> Iterator[tuple[Callable[[list[bytes]], Mount], Path]]:
    """A device open for writing, and how to mount it for a reader whom its commits overtake."""
    disk = RecordingDisk()
    (tmp_path / "storage").mkdir()
    make_device(tmp_path, disk.mount)
    with open_device_storage(tmp_path, mount=disk.mount) as writer:
        writer.ps.set(JOURNAL, b"first")

        def reader(values: list[bytes]) -> Mount:
            def mount(folder: Path) -> Fs:
                fs = OvertakenFs(disk, folder.name)
                fs.overtake = lambda: writer.ps.set(JOURNAL, values.pop()) if values else None
                return fs

            return mount

        yield reader, tmp_path


@pytest.mark.parametrize("commits", range(6))
def test_a_reader_whom_commits_overtake_looks_again(
    overtaken: tuple[Callable[[list[bytes]], Mount], Path], commits: int
) -> None:
    reader, state = overtaken
    values = [b"%d" % number for number in range(commits)]
    with open_device_storage(state, read_only=True, mount=reader(values)) as storage:
        assert storage.ps.get(JOURNAL) in {b"first", *(b"%d" % n for n in range(commits))}
        assert values == []


def test_a_reader_gives_up_when_the_anchor_never_stands_still(
    overtaken: tuple[Callable[[list[bytes]], Mount], Path],
) -> None:
    reader, state = overtaken
    values = [b"%d" % number for number in range(1000)]
    with pytest.raises(StorageFailureError, match="never stands still"):
        open_device_storage(state, read_only=True, mount=reader(values))


def test_readers_and_a_writer_work_on_real_files_at_once(state: Path) -> None:
    stop = threading.Event()
    found: list[int] = []

    def read_on_and_on() -> None:
        while not stop.is_set():
            found.append(int(journal(state)))

    write(state, b"0")
    reader = threading.Thread(target=read_on_and_on)
    with open_device_storage(state) as storage:
        reader.start()
        for number in range(100):
            storage.ps.set(JOURNAL, b"%d" % number)
        stop.set()
        reader.join()
    assert found == sorted(found)
    assert len(set(found)) > 3


# --- a disk that fails during a commit ---------------------------------------------


@pytest.fixture
def on_recording_disk(tmp_path: Path) -> tuple[Path, RecordingDisk]:
    disk = RecordingDisk()
    (tmp_path / "storage").mkdir()
    return make_device(tmp_path, disk.mount), disk


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("call", range(24))
def test_after_any_fault_the_object_shows_what_the_disk_holds_or_refuses(
    on_recording_disk: tuple[Path, RecordingDisk], fault: Fault, call: int
) -> None:
    state, disk = on_recording_disk
    with open_device_storage(state, mount=disk.mount) as storage:
        storage.ps.set(JOURNAL, b"old")
        disk.faults = {disk.calls + call: fault}
        with suppress(StorageError):
            storage.ps.set(JOURNAL, b"new")
        disk.faults.clear()
        with open_device_storage(state, read_only=True, mount=disk.mount) as reader:
            on_disk = reader.ps.get(JOURNAL)
        try:
            assert storage.ps.get(JOURNAL) == on_disk
        except StorageFailureError as error:
            assert "open it again" in str(error)  # noqa: PT017 - one of two right answers
        else:
            storage.ps.set(JOURNAL, b"later")
    with open_device_storage(state, mount=disk.mount) as storage:
        assert storage.ps.get(JOURNAL) in {on_disk, b"later"}


class StubbornFs(RecordingFs):
    """Refuses certain calls, for as long as they are on the list."""

    refused: Final[set[tuple[str, str]]] = set()

    def create(self, name: str, data: bytes, mode: int = 0o600) -> None:
        self._check("create", name)
        super().create(name, data, mode)

    def unlink(self, name: str) -> None:
        self._check("unlink", name)
        super().unlink(name)

    def fsync_folder(self) -> None:
        super().fsync_folder()
        self._check("fsync_folder", self._folder)

    def _check(self, call: str, name: str) -> None:
        if (call, name) in self.refused:
            raise InsufficientStorageError(f"simulated: {call} {name}")


@pytest.fixture
def stubborn(tmp_path: Path) -> Iterator[tuple[DeviceStorage, RecordingDisk]]:
    disk = RecordingDisk()

    def mount(folder: Path) -> Fs:
        return StubbornFs(disk, folder.name)

    (tmp_path / "storage").mkdir()
    make_device(tmp_path, mount)
    with open_device_storage(tmp_path, mount=mount) as storage:
        storage.ps.set(JOURNAL, SECRET)
        yield storage, disk
    StubbornFs.refused.clear()


def mirror_of_the_next_commit(storage: DeviceStorage) -> str:
    return ("image-b", "image-a")[(storage.generation + 1) % 2]


@pytest.mark.parametrize("full_at", ["image", "anchor"])
def test_a_full_disk_leaves_all_as_it_was_and_a_later_attempt_works(
    stubborn: tuple[DeviceStorage, RecordingDisk], full_at: str
) -> None:
    storage, _ = stubborn
    written_first = ("image-a", "image-b")[(storage.generation + 1) % 2]
    name = {"image": written_first, "anchor": "anchor"}[full_at]
    StubbornFs.refused.add(("create", f"{name}.new"))
    generation = storage.generation
    with pytest.raises(InsufficientStorageError, match=name):
        storage.ps.set(JOURNAL, b"new")
    assert storage.ps.get(JOURNAL) == SECRET
    assert storage.generation == generation
    StubbornFs.refused.clear()
    storage.ps.set(JOURNAL, b"later")
    assert storage.ps.get(JOURNAL) == b"later"


def test_a_commit_in_doubt_refuses_all_use_until_opened_again(
    stubborn: tuple[DeviceStorage, RecordingDisk], tmp_path: Path
) -> None:
    storage, disk = stubborn
    StubbornFs.refused.add(("fsync_folder", "fuses"))
    with pytest.raises(InsufficientStorageError, match="simulated"):
        storage.ps.set(JOURNAL, b"new")
    StubbornFs.refused.clear()
    with pytest.raises(StorageFailureError, match="open it again"):
        storage.ps.get(JOURNAL)
    with pytest.raises(StorageFailureError, match="open it again"):
        storage.ps.set(JOURNAL, b"newer")
    storage.close()
    with open_device_storage(tmp_path, mount=disk.mount) as again:
        assert again.ps.get(JOURNAL) == b"new"


def test_a_mirror_that_cannot_be_written_goes_rather_than_keep_a_destroyed_secret(
    stubborn: tuple[DeviceStorage, RecordingDisk], caplog: pytest.LogCaptureFixture
) -> None:
    storage, disk = stubborn
    mirror = mirror_of_the_next_commit(storage)
    StubbornFs.refused.add(("create", f"{mirror}.new"))
    storage.ps.remove(JOURNAL)
    assert mirror not in disk.content()["storage"]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    StubbornFs.refused.clear()
    storage.ps.set(JOURNAL, b"next")
    assert len({disk.content()["storage"][name] for name in ("image-a", "image-b")}) == 1


def test_a_mirror_that_can_neither_be_written_nor_removed_leaves_the_commit_in_doubt(
    stubborn: tuple[DeviceStorage, RecordingDisk], tmp_path: Path
) -> None:
    storage, disk = stubborn
    mirror = mirror_of_the_next_commit(storage)
    StubbornFs.refused.update({("create", f"{mirror}.new"), ("unlink", mirror)})
    with pytest.raises(InsufficientStorageError, match="simulated"):
        storage.ps.remove(JOURNAL)
    with pytest.raises(StorageFailureError, match="open it again"):
        storage.ps.uids()
    storage.close()
    with open_device_storage(tmp_path, mount=disk.mount) as again:
        assert again.ps.uids() == []


def test_a_damaged_copy_that_cannot_be_restored_keeps_the_device_closed(
    stubborn: tuple[DeviceStorage, RecordingDisk], tmp_path: Path
) -> None:
    # Or the next commit would overwrite the only copy that is left.
    storage, disk = stubborn
    storage.close()
    content = {folder: dict(files) for folder, files in disk.content().items()}
    written_first = ("image-a", "image-b")[storage.generation % 2]
    content["storage"][written_first] = b""
    damaged = RecordingDisk(content)
    StubbornFs.refused.add(("create", f"{written_first}.new"))
    with pytest.raises(InsufficientStorageError):
        open_device_storage(tmp_path, mount=lambda folder: StubbornFs(damaged, folder.name))
    with open_device_storage(tmp_path, mount=damaged.mount) as again:
        assert again.ps.get(JOURNAL) == SECRET
