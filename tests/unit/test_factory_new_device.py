"""A device leaves the station complete or not at all."""

from pathlib import Path

import pytest

from device.errors.storage import NOT_PERMITTED, LifecycleError, StorageExistsError
from device.storage.device_storage import DeviceStorage, open_device_storage
from device.storage.lifecycle import Lifecycle
from device.storage.secure_storage import StorageFlag, Uid
from factory.making.new_device import DeviceOrder, make_device
from tests.support.errors import raises

ORDER = DeviceOrder("SN-1", "00112233445566778899aabbccddeeff", "localhost:8883", b"roots")


class PowerCutError(BaseException):
    """The station's plug was pulled."""


def nothing(storage: DeviceStorage) -> None:
    """Install no credentials."""


def test_device_is_secured_and_has_what_was_ordered(tmp_path: Path) -> None:
    make_device(ORDER, tmp_path, nothing)

    with open_device_storage(tmp_path) as storage:
        assert storage.lifecycle is Lifecycle.SECURED
        assert storage.its.get(Uid.DEVICE_ID) == b"00112233445566778899aabbccddeeff"
        assert storage.its.get(Uid.SERIAL_NUMBER) == b"SN-1"
        assert storage.ps.get(Uid.ROOT_CA) == b"roots"
        assert storage.ps.get(Uid.ENDPOINT) == b"localhost:8883"


@pytest.mark.parametrize("uid", [Uid.DEVICE_ID, Uid.SERIAL_NUMBER])
def test_identity_is_write_once(tmp_path: Path, uid: Uid) -> None:
    make_device(ORDER, tmp_path, nothing)

    with open_device_storage(tmp_path) as storage:
        assert StorageFlag.WRITE_ONCE in storage.its.get_info(uid).flags
        with raises(NOT_PERMITTED):
            storage.its.set(uid, b"someone else")


def test_credentials_are_installed_before_the_device_is_closed(tmp_path: Path) -> None:
    seen: list[Lifecycle] = []
    make_device(ORDER, tmp_path, lambda storage: seen.append(storage.lifecycle))
    assert seen == [Lifecycle.PSA_ROT_PROVISIONING]


def test_interrupted_device_does_not_open_and_is_made_anew(tmp_path: Path) -> None:
    def cut(storage: DeviceStorage) -> None:
        raise PowerCutError

    with pytest.raises(PowerCutError):
        make_device(ORDER, tmp_path, cut)
    with pytest.raises(LifecycleError):
        open_device_storage(tmp_path)

    make_device(ORDER, tmp_path, nothing)
    with open_device_storage(tmp_path) as storage:
        assert storage.lifecycle is Lifecycle.SECURED


def test_interrupted_device_that_cannot_be_read_any_more_is_made_anew(tmp_path: Path) -> None:
    def cut(storage: DeviceStorage) -> None:
        raise PowerCutError

    with pytest.raises(PowerCutError):
        make_device(ORDER, tmp_path, cut)
    for image in (tmp_path / "storage").glob("image-*"):
        image.write_bytes(b"spoiled")

    make_device(ORDER, tmp_path, nothing)
    with open_device_storage(tmp_path) as storage:
        assert storage.lifecycle is Lifecycle.SECURED


def test_finished_device_is_not_made_over(tmp_path: Path) -> None:
    make_device(ORDER, tmp_path, nothing)
    other = DeviceOrder("SN-2", ORDER.device_id, ORDER.endpoint, ORDER.root_ca)

    with pytest.raises(StorageExistsError, match=str(tmp_path)):
        make_device(other, tmp_path, nothing)

    with open_device_storage(tmp_path) as storage:
        assert storage.its.get(Uid.SERIAL_NUMBER) == b"SN-1"
