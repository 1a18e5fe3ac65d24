"""A device is made with a key of its own and a certificate for it, or not at all."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509

from device.errors import ConfigurationError
from device.identity.certificates import leaf_of
from device.storage.device_storage import DeviceStorage, open_device_storage
from device.storage.keys import FIRST_DEVICE_KEY, KeyOrigin, KeyType
from factory.account.documents import CONFIG
from factory.errors import LEAF_SUBJECT, OTHER_METHOD, StationNotPreparedError
from factory.making.device_leaf import install_leaf, installed_leaf
from factory.making.new_device import DeviceOrder, make_device
from factory.station.authorities import Authorities
from factory.station.station import open_or_make_station
from tests.support.devices import installed_chain
from tests.support.devices import make_device as make_claim_device
from tests.support.errors import raises

WANTED = frozenset({"CommonName", "SerialNumber"})


@pytest.fixture
def authorities(tmp_path: Path) -> Iterator[Authorities]:
    """The CAs of a station that is prepared for JITP."""
    with open_or_make_station(tmp_path / "station") as station:
        order_ = order()
        station.authorities.ensure(order_.made_at)
        station.authorities.want_fields("jitp", WANTED)
        yield station.authorities


def order(config: Path = CONFIG / "jitp.yaml") -> DeviceOrder:
    return DeviceOrder("SN-1", "0" * 32, "localhost:8883", b"roots", config)


def make(authorities: Authorities, out: Path, wanted: DeviceOrder | None = None) -> None:
    wanted = wanted or order()

    def install(storage: DeviceStorage) -> None:
        install_leaf(authorities, "jitp", storage, wanted)

    make_device(wanted, out, install)


def written(folder: Path, subject: str) -> DeviceOrder:
    config = folder / "device.yaml"
    config.write_text(f"method: jitp\nsubject: {subject}\n")
    return order(config)


def test_key_is_made_in_the_device_and_the_leaf_is_for_it(
    authorities: Authorities, tmp_path: Path
) -> None:
    make(authorities, tmp_path / "device")
    with open_device_storage(tmp_path / "device") as storage:
        assert storage.keys.keys() == [FIRST_DEVICE_KEY]
        assert storage.keys.get_key_attributes(FIRST_DEVICE_KEY).origin is KeyOrigin.GENERATED
        leaf = x509.load_pem_x509_certificate(installed_leaf(storage))
        assert leaf.public_key() == storage.keys.export_public_key(FIRST_DEVICE_KEY)


def test_leaf_has_the_subject_of_the_devices_settings(
    authorities: Authorities, tmp_path: Path
) -> None:
    make(authorities, tmp_path / "device")
    with open_device_storage(tmp_path / "device") as storage:
        leaf = x509.load_pem_x509_certificate(installed_leaf(storage))
    assert leaf.subject.rfc4514_string() == (
        "CN=SN-1,2.5.4.5=SN-1,OU=Devices,O=Firstboot,ST=Berlin,C=DE"
    )


def test_issuing_ca_follows_the_leaf(authorities: Authorities, tmp_path: Path) -> None:
    make(authorities, tmp_path / "device")
    with open_device_storage(tmp_path / "device") as storage:
        chain = installed_chain(storage)
    assert chain == leaf_of(chain) + authorities.open("jitp").certificate_pem


def test_missing_field_is_named_as_the_settings_call_it(
    authorities: Authorities, tmp_path: Path
) -> None:
    poor = written(tmp_path, '{common_name: "{serial}"}')
    with raises(LEAF_SUBJECT, match="would lack SerialNumber") as raised:
        make(authorities, tmp_path / "device", poor)
    assert raised.value.fields["lacking"] == "SerialNumber"
    assert "Set serial_number under subject" in raised.value.next_step
    assert "device.yaml" in raised.value.next_step


def test_refused_device_does_not_leave_the_station(
    authorities: Authorities, tmp_path: Path
) -> None:
    with raises(LEAF_SUBJECT):
        make(authorities, tmp_path / "device", written(tmp_path, '{common_name: "{serial}"}'))
    make(authorities, tmp_path / "device")


def test_unusable_settings_are_named(authorities: Authorities, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.yaml"):
        make(authorities, tmp_path / "device", order(tmp_path / "none.yaml"))


def test_nothing_is_issued_before_prepare(authorities: Authorities, tmp_path: Path) -> None:
    with pytest.raises(StationNotPreparedError, match="jitr") as refused:
        make_device(
            order(), tmp_path / "device",
            lambda storage: install_leaf(authorities, "jitr", storage, order()),
        )  # fmt: skip
    assert "claim" not in refused.value.next_step


def test_device_of_another_method_has_no_leaf(tmp_path: Path) -> None:
    with (
        open_device_storage(make_claim_device(tmp_path / "claim")) as storage,
        raises(OTHER_METHOD),
    ):
        installed_leaf(storage)


@pytest.mark.parametrize("key_type", KeyType)
def test_key_is_of_the_type_that_was_ordered(
    authorities: Authorities, key_type: KeyType, tmp_path: Path
) -> None:
    make(authorities, tmp_path / "d", replace(order(), key_type=key_type))
    with open_device_storage(tmp_path / "d") as storage:
        assert storage.keys.get_key_attributes(FIRST_DEVICE_KEY).key_type is key_type
