"""When the disk fails during a commit, is the old state intact and the object honest?"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from device.errors.storage import INSUFFICIENT_STORAGE, STORAGE_FAILURE, StorageError
from device.storage.device_storage import DeviceStorage, open_device_storage
from device.storage.filesystem import Fs
from device.storage.secure_storage import Uid
from tests.support.errors import raises
from tests.support.recording_fs import Fault, RecordingDisk, RecordingFs
from tests.support.sealed_device import make_device

JOURNAL = Uid.PROVISIONING_JOURNAL
SECRET = b"the-secret-in-the-journal"


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
        except StorageError as error:
            assert error.row is STORAGE_FAILURE  # noqa: PT017 - one of two right answers
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

    def overwrite(self, name: str, data: bytes) -> None:
        self._check("overwrite", name)
        super().overwrite(name, data)

    def unlink(self, name: str) -> None:
        self._check("unlink", name)
        super().unlink(name)

    def fsync_folder(self) -> None:
        super().fsync_folder()
        self._check("fsync_folder", self._folder)

    def _check(self, call: str, name: str) -> None:
        if (call, name) in self.refused:
            raise INSUFFICIENT_STORAGE.error(f"simulated: {call} {name}")


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


@pytest.mark.parametrize("full_at", ["image", "new image", "anchor"])
def test_a_full_disk_leaves_all_as_it_was_and_a_later_attempt_works(
    stubborn: tuple[DeviceStorage, RecordingDisk], full_at: str
) -> None:
    storage, disk = stubborn
    written_first = ("image-a", "image-b")[(storage.generation + 1) % 2]
    if full_at == "new image":
        disk.data[disk.names["storage"][mirror_of_the_next_commit(storage)]] = b"rot"
    name = "anchor" if full_at == "anchor" else written_first
    call = ("overwrite", name) if full_at == "image" else ("create", f"{name}.new")
    StubbornFs.refused.add(call)
    generation = storage.generation
    with raises(INSUFFICIENT_STORAGE, match=name):
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
    with raises(INSUFFICIENT_STORAGE, match="simulated"):
        storage.ps.set(JOURNAL, b"new")
    StubbornFs.refused.clear()
    with raises(STORAGE_FAILURE, match="open it again"):
        storage.ps.get(JOURNAL)
    with raises(STORAGE_FAILURE, match="open it again"):
        storage.ps.set(JOURNAL, b"newer")
    storage.close()
    with open_device_storage(tmp_path, mount=disk.mount) as again:
        assert again.ps.get(JOURNAL) == b"new"


def test_a_mirror_that_cannot_be_written_goes_rather_than_keep_a_destroyed_secret(
    stubborn: tuple[DeviceStorage, RecordingDisk], caplog: pytest.LogCaptureFixture
) -> None:
    storage, disk = stubborn
    mirror = mirror_of_the_next_commit(storage)
    StubbornFs.refused.add(("overwrite", mirror))
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
    StubbornFs.refused.update({("overwrite", mirror), ("unlink", mirror)})
    with raises(INSUFFICIENT_STORAGE, match="simulated"):
        storage.ps.remove(JOURNAL)
    with raises(STORAGE_FAILURE, match="open it again"):
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
    with raises(INSUFFICIENT_STORAGE):
        open_device_storage(tmp_path, mount=lambda folder: StubbornFs(damaged, folder.name))
    with open_device_storage(tmp_path, mount=damaged.mount) as again:
        assert again.ps.get(JOURNAL) == SECRET
