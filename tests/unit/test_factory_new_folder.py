"""A device that is built in memory is on the disk whole, or not at all."""

import os
import threading
from pathlib import Path

import pytest

from device.errors.storage import STORAGE_BUSY, STORAGE_EXISTS, StorageError, StorageExistsError
from device.storage.device_storage import DeviceStorage, open_device_storage
from device.storage.lifecycle import Lifecycle
from device.storage.secure_storage import Uid
from factory.making.new_device import DeviceOrder, make_device
from factory.making.new_folder import NewFolders
from tests.support import hang
from tests.unit.test_factory_new_device import ORDER, PowerCutError, nothing


def files(folder: Path) -> dict[str, int]:
    """Return the modes of all files below ``folder``, by name."""
    return {
        str(each.relative_to(folder)): each.stat().st_mode & 0o777
        for each in folder.rglob("*")
        if each.is_file()
    }


def serial_of(folder: Path) -> str:
    with open_device_storage(folder) as storage:
        return storage.its.get(Uid.SERIAL_NUMBER).decode()


def test_it_is_the_same_device_as_one_made_where_a_folder_was(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    make_device(ORDER, tmp_path / "there", nothing)
    make_device(ORDER, tmp_path / "new", nothing)
    there, new = files(tmp_path / "there"), files(tmp_path / "new")
    assert {name: there[name] for name in new} == new
    assert there.keys() - new.keys() == {"storage/lock"}  # made by whoever opens it for writing
    with open_device_storage(tmp_path / "new") as storage:
        assert storage.lifecycle is Lifecycle.SECURED
        assert storage.its.get(Uid.SERIAL_NUMBER) == b"SN-1"


def test_folders_are_for_their_owner_alone(tmp_path: Path) -> None:
    make_device(ORDER, tmp_path / "new", nothing)
    folders = [tmp_path / "new", *(each for each in (tmp_path / "new").iterdir() if each.is_dir())]
    assert {each.stat().st_mode & 0o777 for each in folders} == {0o700}


def test_of_a_device_that_failed_there_is_nothing(tmp_path: Path) -> None:
    def cut(_: DeviceStorage) -> None:
        raise PowerCutError

    with pytest.raises(PowerCutError):
        make_device(ORDER, tmp_path / "new", cut)
    assert list(tmp_path.iterdir()) == []


def test_all_of_it_is_durable_before_it_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    real = os.fsync

    def watched(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink().relative_to(tmp_path)))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    make_device(ORDER, tmp_path / "new", nothing)
    named, last = synced[:-1], synced[-1]
    assert {each.partition("/")[0] for each in named} == {".new.new"}
    assert last == "."
    on_disk = {f".new.new/{name}" for name in files(tmp_path / "new")}
    assert set(named) == on_disk | {".new.new", ".new.new/fuses", ".new.new/storage"}


def started(folders: NewFolders, *places: Path) -> None:
    for each in places:
        make_device(ORDER, each, nothing, folders.put)


def test_devices_that_settle_together_are_there_only_then(tmp_path: Path) -> None:
    places = [tmp_path / name for name in ("a", "b", "c")]
    with NewFolders() as folders:
        started(folders, *places)
        assert [each.name for each in tmp_path.iterdir() if not each.name.endswith(".new")] == []
        assert folders.settle() == {}
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a", "b", "c"]
    assert {serial_of(each) for each in places} == {"SN-1"}


def test_of_devices_that_settle_together_one_fails_alone(tmp_path: Path) -> None:
    with NewFolders() as folders:
        started(folders, tmp_path / "a", tmp_path / "b")
        (tmp_path / "a").write_text("somebody's file")
        failed = folders.settle()
    assert [(each, error.row) for each, error in failed.items()] == [
        (tmp_path / "a", STORAGE_EXISTS)
    ]
    assert serial_of(tmp_path / "b") == "SN-1"


def test_devices_that_were_cut_before_they_settled_are_made_again(tmp_path: Path) -> None:
    with NewFolders() as folders:
        started(folders, tmp_path / "a", tmp_path / "b")
    with NewFolders() as folders:
        started(folders, tmp_path / "a", tmp_path / "b")
        folders.settle()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a", "b"]


def test_what_a_cut_left_under_the_other_name_is_cleared(tmp_path: Path) -> None:
    left = tmp_path / ".new.new" / "fuses"
    left.mkdir(parents=True)
    (left / "huk").write_bytes(b"of another device")
    make_device(ORDER, tmp_path / "new", nothing)
    assert serial_of(tmp_path / "new") == "SN-1"
    assert [each.name for each in tmp_path.iterdir()] == ["new"]


def test_folder_that_appeared_meanwhile_is_not_written_into(tmp_path: Path) -> None:
    def appear(_: DeviceStorage) -> None:
        (tmp_path / "new").mkdir()
        (tmp_path / "new" / "mine").touch()

    with pytest.raises(StorageExistsError, match="already"):
        make_device(ORDER, tmp_path / "new", appear)
    assert files(tmp_path / "new").keys() == {"mine"}


def test_of_many_processes_that_make_one_folder_one_wins(tmp_path: Path) -> None:
    won: list[str] = []
    start = threading.Barrier(6)

    def one(serial: str) -> None:
        start.wait(hang.SECONDS)
        order = DeviceOrder(serial, ORDER.device_id, ORDER.endpoint, ORDER.root_ca)
        try:
            make_device(order, tmp_path / "new", nothing)
        except StorageError as error:
            assert error.row in (STORAGE_EXISTS, STORAGE_BUSY)  # noqa: PT017 - or it wins
            return
        won.append(serial)

    threads = [threading.Thread(target=one, args=(f"SN-{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    hang.join(*threads)
    assert won == [serial_of(tmp_path / "new")]
