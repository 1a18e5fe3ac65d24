"""What Arm's own test suite asks of a storage, under its own names, for ITS and for PS.

The names and questions are those of psa-arch-tests (api-tests/docs, test_s001 to test_s010 for
both services, test_p011 to test_p017 for PS; later editions number them s011 to s017). The suite
calls three kinds of failure "platform dependent" and skips them; they are at the end.
"""

import hashlib
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from device.errors.storage import (
    CAPACITY_EXCEEDED,
    DATA_CORRUPT,
    INVALID_ARGUMENT,
    NEWER_FORMAT,
    NOT_PERMITTED,
    STORAGE_FAILURE,
    WRONG_DEVICE,
    DataCorruptError,
    DoesNotExistError,
    StorageError,
)
from device.storage.device_storage import DeviceStorage, open_device_storage
from device.storage.secure_storage import SecureStorage, StorageFlag, StorageInfo
from tests.support.errors import raises
from tests.support.memory_disk import MemoryDisk
from tests.support.recording_fs import Fault, RecordingDisk
from tests.support.sealed_device import make_device

UIDS = (0x501, 0x502, 0x503)
DATA = bytes(range(200))
OPTIONAL = ("create", "set_extended", "get_support")
"""The optional part of the PS API; `device.storage` does not have it."""


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[DeviceStorage]:
    disk = MemoryDisk()
    (tmp_path / "storage").mkdir()
    make_device(tmp_path, disk.mount)
    with open_device_storage(tmp_path, mount=disk.mount) as storage:
        yield storage


@pytest.fixture(params=["its", "ps"])
def service(storage: DeviceStorage, request: pytest.FixtureRequest) -> SecureStorage:
    return storage.its if request.param == "its" else storage.ps


def assert_absent(service: SecureStorage, uid: int) -> None:
    for call in (service.get, service.get_info, service.remove):
        with pytest.raises(DoesNotExistError):
            call(uid)


def facts(info: StorageInfo) -> tuple[int, int, StorageFlag]:
    return info.size, info.capacity, info.flags & StorageFlag.WRITE_ONCE


def test_s001_what_is_not_there_does_not_exist(service: SecureStorage) -> None:
    one, two, three = UIDS
    assert_absent(service, one)
    service.set(one, DATA)
    service.set(two, DATA)
    service.remove(one)
    assert_absent(service, one)
    service.set(one, DATA)
    assert_absent(service, three)
    assert service.get(two) == DATA


def test_s002_write_once_is_final(service: SecureStorage) -> None:
    one, two, _ = UIDS
    service.set(one, DATA)
    service.set(one, DATA[:50], StorageFlag.WRITE_ONCE)  # over an entry that is not
    assert service.get(one) == DATA[:50]
    service.set(two, DATA, StorageFlag.WRITE_ONCE)
    for uid, held in ((one, DATA[:50]), (two, DATA)):
        with raises(NOT_PERMITTED):
            service.remove(uid)
        for flags in (StorageFlag.WRITE_ONCE, StorageFlag.NONE):
            with raises(NOT_PERMITTED):
                service.set(uid, b"other", flags)
        assert service.get(uid) == held
        assert facts(service.get_info(uid)) == (len(held), len(held), StorageFlag.WRITE_ONCE)


def test_s003_the_same_number_fits_each_time(service: SecureStorage) -> None:
    counts = []
    for _ in range(3):
        stored = 0
        with raises(CAPACITY_EXCEEDED):
            while True:
                service.set(0x1_0000 + stored, bytes(4096))
                stored += 1
        for number in range(stored):
            service.remove(0x1_0000 + number)
        counts.append(stored)
    assert len(set(counts)) == 1
    assert counts[0] > 1


def test_s004_shortened_data_leaves_nothing_of_the_longer(service: SecureStorage) -> None:
    service.set(UIDS[0], DATA)
    service.set(UIDS[0], DATA[:100])
    assert service.get(UIDS[0]) == DATA[:100]
    assert service.get(UIDS[0], 0, 200) == DATA[:100]
    with raises(INVALID_ARGUMENT):
        service.get(UIDS[0], 101)
    service.remove(UIDS[0])
    assert_absent(service, UIDS[0])


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 4096])
def test_s005_any_length_is_stored_and_removed(service: SecureStorage, size: int) -> None:
    service.set(UIDS[0] + size, bytes(size))
    assert service.get(UIDS[0] + size) == bytes(size)
    assert facts(service.get_info(UIDS[0] + size)) == (size, size, StorageFlag.NONE)
    service.remove(UIDS[0] + size)


@pytest.mark.parametrize("bit", range(1, 64))
def test_s006_a_flag_is_supported_or_refused(service: SecureStorage, bit: int) -> None:
    if 1 << bit in {StorageFlag.NO_CONFIDENTIALITY, StorageFlag.NO_REPLAY_PROTECTION}:
        service.set(UIDS[0], DATA, StorageFlag(1 << bit))
        service.remove(UIDS[0])
        return
    with raises(INVALID_ARGUMENT):
        service.set(UIDS[0], DATA, 1 << bit)  # type: ignore[arg-type]  # what a wrong caller does
    assert_absent(service, UIDS[0])


def test_s007_no_more_is_returned_than_is_there(service: SecureStorage) -> None:
    service.set(UIDS[0], DATA[:100])
    service.set(UIDS[0], DATA)
    assert service.get(UIDS[0], 0, 100) == DATA[:100]
    assert service.get(UIDS[0], 0, 250) == DATA
    service.set(UIDS[0], DATA[:40])
    assert service.get(UIDS[0], 0, 200) == DATA[:40]


def test_s008_offsets_count_from_the_beginning_and_end_at_the_end(service: SecureStorage) -> None:
    service.set(UIDS[0], DATA)
    assert service.get(UIDS[0], 150, 50) == DATA[150:]
    assert service.get(UIDS[0], 10, 20) == DATA[10:30]
    assert service.get(UIDS[0], 200, 0) == b""
    assert service.get(UIDS[0], 0, 201) == DATA
    for offset in (201, 2**32, -1):
        with raises(INVALID_ARGUMENT):
            service.get(UIDS[0], offset, 1)


def test_s009_no_data_is_data_of_length_zero(service: SecureStorage) -> None:
    with pytest.raises(TypeError):
        service.set(UIDS[0], None)  # type: ignore[arg-type]  # a null pointer, in C
    assert_absent(service, UIDS[0])
    service.set(UIDS[0], b"")
    assert service.get(UIDS[0]) == b""
    assert facts(service.get_info(UIDS[0])) == (0, 0, StorageFlag.NONE)


def test_s010_uid_zero_is_refused(service: SecureStorage) -> None:
    with raises(INVALID_ARGUMENT):
        service.set(0, DATA)
    assert 0 not in service.uids()


@pytest.mark.parametrize("number", ["s011", "s012", "s013", "s014", "s015", "s016", "s017"])
def test_s011_to_s017_the_optional_api_is_not_there(number: str, storage: DeviceStorage) -> None:
    """All are of ``create`` and ``set_extended``; s014 asks what follows where they are not."""
    assert not any(hasattr(storage.ps, name) for name in OPTIONAL), number
    storage.ps.set(UIDS[0], DATA)
    assert storage.ps.get(UIDS[0]) == DATA


# --- what the suite skips as "platform dependent" ------------------------------------------------


@pytest.mark.parametrize("fault", [Fault.IO_ERROR, Fault.LYING_WRITE])
def test_storage_failure_is_said_and_the_old_data_stays(tmp_path: Path, fault: Fault) -> None:
    """PSA_ERROR_STORAGE_FAILURE: the disk refuses, or does not keep what it took."""
    disk = RecordingDisk()
    (tmp_path / "storage").mkdir()
    make_device(tmp_path, disk.mount)
    with open_device_storage(tmp_path, mount=disk.mount) as storage:
        storage.ps.set(UIDS[0], b"old")
        disk.faults = {disk.calls + 1: fault}  # the first call removes a leftover, the next writes
        with raises(STORAGE_FAILURE):
            storage.ps.set(UIDS[0], b"new")
        assert storage.ps.get(UIDS[0]) == b"old"


def images(disk: MemoryDisk) -> list[tuple[Path, str]]:
    return disk.places_of("image-a", "image-b")


def test_data_corruption_is_found_in_every_byte(tmp_path: Path) -> None:
    """PSA_ERROR_DATA_CORRUPT: the same damage in both copies."""
    disk = MemoryDisk()
    (tmp_path / "storage").mkdir()
    make_device(tmp_path, disk.mount)
    content = disk.content(*images(disk)[0])
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 0x40
        broken = disk.with_file(images(disk), bytes(damaged))
        with pytest.raises(StorageError) as caught:
            open_device_storage(tmp_path, mount=broken.mount)
        assert caught.value.row in {DATA_CORRUPT, WRONG_DEVICE, NEWER_FORMAT}


def test_an_invalid_signature_is_refused_although_the_anchor_names_it(tmp_path: Path) -> None:
    """PSA_ERROR_INVALID_SIGNATURE: the anchor names it, and this root did not seal it."""
    disk = MemoryDisk()
    (tmp_path / "storage").mkdir()
    make_device(tmp_path, disk.mount)
    forged = bytearray(disk.content(*images(disk)[0]))
    forged[-1] ^= 1  # of the authentication tag
    generation = disk.content(*disk.places_of("anchor")[0]).split()[0].decode()
    body = f"{generation} {hashlib.sha256(forged).hexdigest()}".encode()
    anchor = b"%s %08x\n" % (body, zlib.crc32(body))
    broken = disk.with_file(images(disk), bytes(forged)).with_file(disk.places_of("anchor"), anchor)
    with pytest.raises(DataCorruptError, match="not authentic") as caught:
        open_device_storage(tmp_path, mount=broken.mount)
    assert caught.value.row is DATA_CORRUPT
