"""The station keeps the claim sealed, and knows how far it has come."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from device.storage.device_storage import create_device_storage, open_device_storage
from device.storage.secure_storage import Uid
from factory.account.cloud import Account
from factory.errors import NOT_A_STATION, OTHER_ACCOUNT, StationNotPreparedError
from factory.station.station import (
    CLAIM_COMMON_NAME,
    Station,
    open_or_make_station,
    open_station,
)
from tests.support.devices import make_device
from tests.support.errors import raises

HERE = Account("123456789012", "eu-central-1")
NOW = datetime(2026, 11, 23, tzinfo=UTC)


def test_csr_is_for_the_claim_key_and_names_the_claim(tmp_path: Path) -> None:
    with open_or_make_station(tmp_path) as station:
        station.begin_claim(HERE, NOW)
        csr = x509.load_pem_x509_csr(station.claim_csr().encode())
    assert csr.is_signature_valid
    assert csr.subject.rfc4514_string() == f"CN={CLAIM_COMMON_NAME}"


def test_a_new_claim_has_a_new_key(tmp_path: Path) -> None:
    with open_or_make_station(tmp_path) as station:
        station.begin_claim(HERE, NOW)
        first = x509.load_pem_x509_csr(station.claim_csr().encode()).public_key()
        station.begin_claim(HERE, NOW)
        second = x509.load_pem_x509_csr(station.claim_csr().encode()).public_key()
    assert first != second


def test_progress_outlives_the_process(tmp_path: Path) -> None:
    with open_or_make_station(tmp_path) as station:
        station.begin_claim(HERE, NOW)
        station.keep_certificate("c0ffee", b"PEM")
        station.confirm_active()
    with open_station(tmp_path) as station:
        record = station.record
        assert record is not None
        assert (record.account_id, record.region) == ("123456789012", "eu-central-1")
        assert (record.requested_at, record.certificate_id) == (NOW, "c0ffee")
        assert record.is_active


def test_claim_is_handed_out_only_when_it_is_active(tmp_path: Path) -> None:
    with open_or_make_station(tmp_path) as station:
        with pytest.raises(StationNotPreparedError, match="has no claim"):
            station.claim()
        station.begin_claim(HERE, NOW)
        with pytest.raises(StationNotPreparedError, match="no claim certificate was issued"):
            _ = station.certificate_id
        station.keep_certificate("c0ffee", b"PEM")
        with pytest.raises(StationNotPreparedError, match="not active yet"):
            station.claim()
        station.confirm_active()
        identity = station.claim()
        csr = x509.load_pem_x509_csr(station.claim_csr().encode())
    key = serialization.load_pem_private_key(identity.private_key_pem, password=None)
    assert identity.certificate_pem == b"PEM"
    assert key.public_key() == csr.public_key()


def test_forgotten_claim_is_gone(tmp_path: Path) -> None:
    with open_or_make_station(tmp_path) as station:
        station.forget_claim()
        station.begin_claim(HERE, NOW)
        station.keep_certificate("c0ffee", b"PEM")
        station.forget_claim()
        assert station.record is None
        with pytest.raises(StationNotPreparedError):
            station.claim()


@pytest.mark.parametrize(
    "elsewhere", [Account("210987654321", "eu-central-1"), Account("123456789012", "us-east-1")]
)
def test_station_keeps_to_one_account_and_region(tmp_path: Path, elsewhere: Account) -> None:
    with open_or_make_station(tmp_path) as station:
        station.check_account(elsewhere)
        station.begin_claim(HERE, NOW)
        station.check_account(HERE)
        with raises(OTHER_ACCOUNT, match="123456789012, eu-central-1"):
            station.check_account(elsewhere)


@pytest.mark.parametrize("open_it", [open_station, open_or_make_station])
def test_a_device_is_not_written_over(
    tmp_path: Path, open_it: Callable[[Path], AbstractContextManager[Station]]
) -> None:
    state = make_device(tmp_path / "device")
    with open_device_storage(state, read_only=True) as storage:
        before = storage.ps.get(Uid.CLAIM_CERTIFICATE)

    with raises(NOT_A_STATION, match="holds a device"), open_it(state):
        pass

    with open_device_storage(state, read_only=True) as storage:
        assert storage.ps.get(Uid.CLAIM_CERTIFICATE) == before


def test_missing_station_is_not_made_by_looking(tmp_path: Path) -> None:
    with pytest.raises(StationNotPreparedError), open_station(tmp_path / "none"):
        pass
    assert not (tmp_path / "none").exists()


def test_several_devices_can_be_made_at_once(tmp_path: Path) -> None:
    with open_or_make_station(tmp_path) as station:
        station.begin_claim(HERE, NOW)
    with open_station(tmp_path, read_only=True) as one, open_station(tmp_path, read_only=True):
        assert one.record is not None


@pytest.mark.parametrize("read_only", [False, True])
def test_unfinished_station_counts_as_none(tmp_path: Path, *, read_only: bool) -> None:
    create_device_storage(tmp_path).close()
    with pytest.raises(StationNotPreparedError), open_station(tmp_path, read_only=read_only):
        pass
    with open_or_make_station(tmp_path) as station:
        assert station.record is None
