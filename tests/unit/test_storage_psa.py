"""Does each rule of the PSA Secure Storage API hold, for ITS and for PS?"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from device.errors.storage import (
    CAPACITY_EXCEEDED,
    INVALID_ARGUMENT,
    NOT_PERMITTED,
    DoesNotExistError,
)
from device.storage.capacity import CAPACITY, PROVISIONING_ROOM, RESERVE
from device.storage.device_storage import (
    DeviceStorage,
    create_device_storage,
    open_device_storage,
)
from device.storage.lifecycle import Lifecycle
from device.storage.secure_storage import (
    SecureStorage,
    StorageFlag,
    StorageInfo,
    Uid,
)
from tests.support.errors import raises
from tests.support.recording_fs import RecordingDisk
from tests.support.sealed_device import make_device

UID = 0x77


@pytest.fixture
def disk(tmp_path: Path) -> RecordingDisk:
    """A disk in memory, since hundreds of syncs take their time; only the lock is a file."""
    (tmp_path / "storage").mkdir()
    disk = RecordingDisk()
    make_device(tmp_path, disk.mount)
    return disk


@pytest.fixture
def storage(tmp_path: Path, disk: RecordingDisk) -> Iterator[DeviceStorage]:
    with open_device_storage(tmp_path, mount=disk.mount) as storage:
        yield storage


@pytest.fixture(params=["its", "ps"])
def service(storage: DeviceStorage, request: pytest.FixtureRequest) -> SecureStorage:
    return storage.its if request.param == "its" else storage.ps


def test_set_stores_and_replaces(service: SecureStorage) -> None:
    service.set(UID, b"first")
    service.set(UID, b"second, and longer")
    assert service.get(UID) == b"second, and longer"


def test_what_is_set_outlives_the_process(
    service: SecureStorage, tmp_path: Path, disk: RecordingDisk
) -> None:
    service.set(UID, b"data")
    with open_device_storage(tmp_path, read_only=True, mount=disk.mount) as reader:
        assert b"data" in {s.get(UID) for s in (reader.its, reader.ps) if UID in s.uids()}


def test_its_and_ps_are_separate_name_spaces(storage: DeviceStorage) -> None:
    storage.its.set(UID, b"in its")
    storage.ps.set(UID, b"in ps")
    storage.ps.remove(UID)
    assert storage.its.get(UID) == b"in its"


def test_empty_data_is_an_entry(service: SecureStorage) -> None:
    service.set(UID, b"")
    assert service.get(UID) == b""
    assert service.get_info(UID).size == 0


@pytest.mark.parametrize("uid", [0, -1, 2**64])
@pytest.mark.parametrize(
    "call",
    [
        lambda service, uid: service.set(uid, b""),
        lambda service, uid: service.get(uid),
        lambda service, uid: service.find(uid),
        lambda service, uid: service.get_info(uid),
        lambda service, uid: service.remove(uid),
    ],
    ids=["set", "get", "find", "get_info", "remove"],
)
def test_uids_are_1_to_64_bits(
    service: SecureStorage, call: Callable[[SecureStorage, int], object], uid: int
) -> None:
    with raises(INVALID_ARGUMENT, match="uid"):
        call(service, uid)


@pytest.mark.parametrize("uid", [1, 2**64 - 1])
def test_the_first_and_the_last_uid_are_legal(service: SecureStorage, uid: int) -> None:
    service.set(uid, b"data")
    assert service.get(uid) == b"data"


@pytest.mark.parametrize("call", ["get", "get_info", "remove"])
def test_what_is_not_there_does_not_exist(service: SecureStorage, call: str) -> None:
    with pytest.raises(DoesNotExistError, match="0x77"):
        getattr(service, call)(UID)


def test_find_returns_the_entry_or_none(service: SecureStorage) -> None:
    assert service.find(UID) is None
    service.set(UID, b"a value")
    assert service.find(UID) == b"a value"


def test_removed_is_gone(service: SecureStorage) -> None:
    service.set(UID, b"data")
    service.remove(UID)
    assert UID not in service.uids()
    with pytest.raises(DoesNotExistError):
        service.get(UID)


@pytest.mark.parametrize(
    ("offset", "size", "expected"),
    [
        (0, None, b"0123456789"),
        (3, None, b"3456789"),
        (3, 4, b"3456"),
        (3, 0, b""),
        (8, 100, b"89"),
        (10, None, b""),
        (10, 1, b""),
    ],
)
def test_get_returns_the_part_that_is_there(
    service: SecureStorage, offset: int, size: int | None, expected: bytes
) -> None:
    service.set(UID, b"0123456789")
    assert service.get(UID, offset, size) == expected


@pytest.mark.parametrize(("offset", "size"), [(11, None), (-1, None), (0, -1)])
def test_get_outside_of_the_data_is_invalid(
    service: SecureStorage, offset: int, size: int | None
) -> None:
    service.set(UID, b"0123456789")
    with raises(INVALID_ARGUMENT):
        service.get(UID, offset, size)


def test_unknown_flags_are_invalid_and_store_nothing(service: SecureStorage) -> None:
    with raises(INVALID_ARGUMENT, match="0x8"):
        service.set(UID, b"data", StorageFlag(8))
    assert UID not in service.uids()


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        (StorageFlag.NONE, StorageFlag.NO_REPLAY_PROTECTION),
        (StorageFlag.NO_CONFIDENTIALITY, StorageFlag.NO_REPLAY_PROTECTION),
        (StorageFlag.NO_REPLAY_PROTECTION, StorageFlag.NO_REPLAY_PROTECTION),
        (StorageFlag.WRITE_ONCE, StorageFlag.WRITE_ONCE | StorageFlag.NO_REPLAY_PROTECTION),
    ],
)
def test_get_info_reports_the_protection_really_given(
    service: SecureStorage, asked: StorageFlag, given: StorageFlag
) -> None:
    service.set(UID, b"data", asked)
    assert service.get_info(UID) == StorageInfo(capacity=4, size=4, flags=given)


def test_write_once_is_final_on_a_secured_device(service: SecureStorage) -> None:
    service.set(UID, b"final", StorageFlag.WRITE_ONCE)
    with raises(NOT_PERMITTED, match="WRITE_ONCE"):
        service.set(UID, b"other")
    with raises(NOT_PERMITTED, match="WRITE_ONCE"):
        service.remove(UID)
    assert service.get(UID) == b"final"


def test_write_once_is_not_enforced_before_the_device_is_secured(
    tmp_path: Path,
) -> None:
    with create_device_storage(tmp_path / "new") as storage:
        storage.advance(Lifecycle.PSA_ROT_PROVISIONING)
        storage.its.set(Uid.SERIAL_NUMBER, b"mistyped", StorageFlag.WRITE_ONCE)
        storage.its.set(Uid.SERIAL_NUMBER, b"right", StorageFlag.WRITE_ONCE)
        storage.its.set(Uid.DEVICE_ID, b"not wanted", StorageFlag.WRITE_ONCE)
        storage.its.remove(Uid.DEVICE_ID)
        storage.advance(Lifecycle.SECURED)
        with raises(NOT_PERMITTED):
            storage.its.set(Uid.SERIAL_NUMBER, b"too late")
        assert storage.its.get(Uid.SERIAL_NUMBER) == b"right"


def test_write_once_holds_in_application_debug_too(storage: DeviceStorage) -> None:
    storage.advance(Lifecycle.NON_PSA_ROT_DEBUG)
    with raises(NOT_PERMITTED):
        storage.its.remove(Uid.SERIAL_NUMBER)


def test_the_capacity_is_a_limit_for_its_and_ps_together(storage: DeviceStorage) -> None:
    storage.its.set(UID, bytes(CAPACITY - 10))
    with raises(CAPACITY_EXCEEDED, match=str(CAPACITY)):
        storage.ps.set(UID, bytes(100))
    assert storage.ps.uids() == []
    storage.its.set(UID, b"short")
    storage.ps.set(UID, bytes(100))
    assert storage.ps.get_info(UID).size == 100


def test_setting_what_is_there_already_costs_no_commit(storage: DeviceStorage) -> None:
    storage.ps.set(UID, b"data")
    generation = storage.generation
    storage.ps.set(UID, b"data")
    assert storage.generation == generation


def test_values_of_the_flags_are_those_of_psa() -> None:
    assert [int(flag) for flag in StorageFlag] == [1, 2, 4]


def test_what_a_commit_removes_makes_room_for_what_it_adds(storage: DeviceStorage) -> None:
    storage.ps.set(UID, bytes(40_000))
    with storage.transaction():
        storage.ps.set(UID + 1, bytes(40_000))
        storage.ps.remove(UID)
    assert storage.ps.get_info(UID + 1).size == 40_000


def test_too_much_is_said_by_the_commit_and_changes_nothing(storage: DeviceStorage) -> None:
    storage.ps.set(UID, b"before")

    def too_much() -> None:
        with storage.transaction():
            storage.ps.set(UID, b"after")
            storage.ps.set(UID + 1, bytes(CAPACITY))

    with raises(CAPACITY_EXCEEDED):
        too_much()
    assert storage.ps.get(UID) == b"before"
    storage.ps.set(UID, b"later")


def test_the_reserve_is_for_commits_that_finish_something(storage: DeviceStorage) -> None:
    storage.ps.set(UID, bytes(CAPACITY - 100))
    with storage.transaction(finishing=True):
        storage.ps.set(UID + 1, bytes(RESERVE))
    with raises(CAPACITY_EXCEEDED):
        storage.ps.set(UID + 2, b"one more")
    storage.ps.set(UID + 1, bytes(RESERVE - 1))  # over the limit, but less than before


def test_the_station_leaves_room_for_provisioning(tmp_path: Path) -> None:
    with create_device_storage(tmp_path / "device") as storage:
        with raises(CAPACITY_EXCEEDED, match=str(CAPACITY - PROVISIONING_ROOM)):
            storage.ps.set(UID, bytes(CAPACITY - PROVISIONING_ROOM + 1))
        storage.ps.set(UID, bytes(CAPACITY - PROVISIONING_ROOM))
