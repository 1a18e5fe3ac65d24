"""A device that waits for its certificate can be taken up again, and is SECURED last."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from device.errors import ConfigurationError
from device.errors.provisioning import CertificateUnacceptableError
from device.errors.storage import STORAGE_BUSY, LifecycleError, StorageExistsError
from device.storage.device_storage import (
    create_device_storage,
    open_device_storage,
    resume_device_storage,
)
from device.storage.keys import FIRST_DEVICE_KEY, KeyOrigin, KeyType
from device.storage.lifecycle import Lifecycle
from device.storage.secure_storage import Uid
from factory.account.documents import CONFIG
from factory.errors import ELEMENT_CHOICE
from factory.making.new_device import DeviceOrder, make_device, new_device_id
from factory.making.unfinished_device import UnfinishedDevice, unfinished_device
from tests.support.certificates import DeviceAuthority, new_key
from tests.support.devices import installed_chain
from tests.support.errors import raises

MADE_AT = datetime(2026, 11, 23, 8, tzinfo=UTC)
LATER = datetime(2026, 11, 24, 8, tzinfo=UTC)
AUTHORITY = DeviceAuthority()


def order(
    serial: str = "SN-1", made_at: datetime = MADE_AT, endpoint: str = "localhost:8883"
) -> DeviceOrder:
    config = CONFIG / "bulk.yaml"
    return DeviceOrder(serial, new_device_id(), endpoint, b"a CA", config, made_at)


def certificate_for(device: UnfinishedDevice) -> bytes:
    return AUTHORITY.issue(device.public_key, device.subject)


def test_csr_is_signed_by_a_key_that_the_device_made(tmp_path: Path) -> None:
    with unfinished_device(order(), tmp_path) as device:
        csr = x509.load_pem_x509_csr(device.csr().encode())
        attributes = device.storage.keys.get_key_attributes(FIRST_DEVICE_KEY)
        assert csr.public_key() == device.public_key
    assert csr.is_signature_valid
    assert "CN=SN-1" in csr.subject.rfc4514_string()
    assert attributes.origin is KeyOrigin.GENERATED


def test_next_run_goes_on_with_the_same_key_time_and_device_id(tmp_path: Path) -> None:
    with unfinished_device(order(), tmp_path) as device:
        key, device_id = device.public_key, device.storage.its.get(Uid.DEVICE_ID)
    with unfinished_device(order(made_at=LATER), tmp_path) as device:
        assert device.public_key == key
        assert device.storage.its.get(Uid.DEVICE_ID) == device_id
        assert device.made_at == MADE_AT


def test_next_run_may_correct_the_endpoint(tmp_path: Path) -> None:
    with unfinished_device(order(endpoint="wrong:1"), tmp_path):
        pass
    with unfinished_device(order(endpoint="right:2"), tmp_path) as device:
        assert device.storage.ps.get(Uid.ENDPOINT) == b"right:2"


def test_finished_device_is_secured_and_holds_its_certificate(tmp_path: Path) -> None:
    with unfinished_device(order(), tmp_path) as device:
        pem = certificate_for(device)
        device.finish(pem)
    with open_device_storage(tmp_path) as storage:
        assert storage.lifecycle is Lifecycle.SECURED
        assert installed_chain(storage) == pem
        assert storage.its.get(Uid.MADE_AT) == b"2026-11-23T08:00:00+00:00"
    with (
        pytest.raises(StorageExistsError, match="finished device"),
        unfinished_device(order(), tmp_path),
    ):
        pass


@pytest.mark.parametrize("wrong", ["key", "subject"])
def test_wrong_certificate_is_refused_and_the_device_stays_unfinished(
    tmp_path: Path, wrong: str
) -> None:
    with unfinished_device(order(), tmp_path) as device:
        key = new_key().public_key() if wrong == "key" else device.public_key
        subject = device.subject if wrong == "key" else {"common_name": "SN-2"}
        pem = AUTHORITY.issue(key, subject)
        with pytest.raises(CertificateUnacceptableError, match=wrong):
            device.finish(pem)
    with resume_device_storage(tmp_path) as storage:
        assert Uid.INSTALLED_CERTIFICATE not in storage.ps.uids()


def test_unfinished_device_of_another_serial_number_is_left_alone(tmp_path: Path) -> None:
    with unfinished_device(order("SN-1"), tmp_path) as device:
        key = device.public_key
    with (
        pytest.raises(StorageExistsError, match="holds SN-1"),
        unfinished_device(order("SN-2"), tmp_path),
    ):
        pass
    with unfinished_device(order("SN-1"), tmp_path) as device:
        assert device.public_key == key


@pytest.mark.parametrize("reached", ["nothing", "provisioning"])
def test_device_without_a_key_yet_is_begun_anew(tmp_path: Path, reached: str) -> None:
    with create_device_storage(tmp_path) as storage:
        if reached == "provisioning":
            storage.advance(Lifecycle.PSA_ROT_PROVISIONING)
    with unfinished_device(order(), tmp_path) as device:
        assert device.storage.keys.keys() == [FIRST_DEVICE_KEY]


def test_unfinished_device_of_another_method_is_begun_anew(tmp_path: Path) -> None:
    def stop(storage: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_device(order(), tmp_path, stop)
    with unfinished_device(order(), tmp_path) as device:
        assert device.storage.keys.keys() == [FIRST_DEVICE_KEY]
        device.storage.keys.destroy_key(FIRST_DEVICE_KEY)
    with unfinished_device(order(made_at=LATER), tmp_path) as device:
        assert device.made_at == LATER


def test_unusable_settings_are_noticed_before_anything_is_made(tmp_path: Path) -> None:
    nowhere = DeviceOrder("SN-1", "0" * 32, "localhost:8883", b"", tmp_path / "none.yaml")
    with pytest.raises(ConfigurationError), unfinished_device(nowhere, tmp_path / "device"):
        pass
    assert not (tmp_path / "device").exists()


def test_two_stations_do_not_make_one_device(tmp_path: Path) -> None:
    with (
        unfinished_device(order(), tmp_path),
        raises(STORAGE_BUSY),
        unfinished_device(order(), tmp_path),
    ):
        pass


def test_nobody_waits_for_what_was_never_begun_or_is_done(tmp_path: Path) -> None:
    make_device(order(), tmp_path, lambda _: None)
    with pytest.raises(LifecycleError, match="SECURED, not PSA_ROT_PROVISIONING"):
        resume_device_storage(tmp_path)


@pytest.mark.parametrize("key_type", KeyType)
def test_key_is_of_the_type_that_was_ordered(key_type: KeyType, tmp_path: Path) -> None:
    with unfinished_device(replace(order(), key_type=key_type), tmp_path) as device:
        assert device.storage.keys.get_key_attributes(FIRST_DEVICE_KEY).key_type is key_type


def test_device_that_was_begun_with_another_type_of_key_is_not_gone_on_with(
    tmp_path: Path,
) -> None:
    with unfinished_device(order(), tmp_path):
        pass
    other = replace(order(), key_type=KeyType.RSA_2048)
    with (
        raises(ELEMENT_CHOICE, match="begun with a key of type ec-p256, not rsa-2048"),
        unfinished_device(other, tmp_path),
    ):
        pass
