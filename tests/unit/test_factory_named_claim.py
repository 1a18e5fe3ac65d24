"""Claims with a name: made beside each other, over when their time is, and never made twice."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from device.storage.device_storage import open_device_storage
from factory.account.cloud import Account
from factory.errors import CLAIM_NAME, OTHER_ACCOUNT, StationNotPreparedError
from factory.station.named_claim import COMMON_NAME, NamedClaim, key_of
from factory.station.station import Station, open_or_make_station
from tests.support.certificates import certificate_for
from tests.support.errors import raises

HERE = Account("123456789012", "eu-central-1")
NOW = datetime(2026, 11, 23, tzinfo=UTC)
WEEK = timedelta(days=7)


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    with open_or_make_station(tmp_path) as station:
        yield station


def active(station: Station, name: str, life: timedelta = WEEK) -> NamedClaim:
    claim = station.named_claims.begin(name, HERE, NOW, NOW + life)
    claim.keep_certificate(f"id-of-{name}", certificate_for(claim.claim_csr()))
    claim.confirm_active()
    return claim


def test_csr_is_for_its_own_key_and_is_found_again_by_its_subject(station: Station) -> None:
    keys = []
    for name in ("A", "B"):
        claim = station.named_claims.begin(name, HERE, NOW, NOW + WEEK)
        csr = x509.load_pem_x509_csr(claim.claim_csr().encode())
        assert csr.subject.rfc4514_string() == f"CN={COMMON_NAME}"
        keys.append(csr.public_key())
    assert keys[0] != keys[1]


def test_devices_get_the_newest_and_any_by_its_name(station: Station) -> None:
    active(station, "A")
    active(station, "B")
    newest, older = (station.claim_named(name, NOW).private_key_pem for name in ("", "A"))
    assert newest == station.claim_named("B", NOW).private_key_pem != older


def test_claim_whose_time_is_over_is_given_to_no_device(station: Station) -> None:
    active(station, "A", WEEK)
    active(station, "B", timedelta(days=1))
    later = NOW + timedelta(days=1)
    assert station.named_claims.current(later).name == "A"  # type: ignore[union-attr] # it is there
    with raises(CLAIM_NAME, match="claim B ends 2026-11-24 00:00 UTC"):
        station.claim_named("B", later)


def test_without_a_named_claim_devices_get_the_first_one(station: Station) -> None:
    with pytest.raises(StationNotPreparedError):
        station.claim_named("", NOW)


def test_claim_that_is_not_active_yet_is_given_to_no_device(station: Station) -> None:
    station.named_claims.begin("A", HERE, NOW, NOW + WEEK)
    assert station.named_claims.current(NOW) is None
    with raises(CLAIM_NAME, match="claim A is not active"):
        station.claim_named("A", NOW)


def test_run_that_was_cut_is_taken_up_with_its_key_and_its_end(station: Station) -> None:
    first = station.named_claims.begin("A", HERE, NOW, NOW + WEEK).claim_csr()
    again = station.named_claims.begin("A", HERE, NOW + WEEK, NOW + 2 * WEEK)
    keys = [
        x509.load_pem_x509_csr(each.encode()).public_key() for each in (first, again.claim_csr())
    ]
    assert keys[0] == keys[1]
    assert again.record.expires_at == NOW + WEEK


@pytest.mark.parametrize("is_off", [True, False])
def test_name_is_given_once(station: Station, is_off: bool) -> None:
    active(station, "A")
    if is_off:
        station.named_claims.turn_off("A")
    with raises(CLAIM_NAME, match="a claim A already"):
        station.named_claims.begin("A", HERE, NOW, NOW + WEEK)


def test_claim_that_is_off_has_no_key_any_more(station: Station, tmp_path: Path) -> None:
    active(station, "A")
    station.named_claims.turn_off("A")
    station.named_claims.turn_off("A")
    with raises(CLAIM_NAME, match="claim A is off"):
        station.claim_named("A", NOW)
    with open_device_storage(tmp_path, read_only=True) as storage:
        assert key_of("A") not in storage.keys.keys()  # noqa: SIM118 - a key store is no dict


def test_claim_of_another_account_is_refused(station: Station) -> None:
    with raises(OTHER_ACCOUNT, match="claim A is of account 123456789012"):
        active(station, "A").check_account(Account("999999999999", "eu-central-1"))


def test_storage_has_room_for_as_many_as_are_allowed_and_for_those_that_are_off(
    station: Station,
) -> None:
    for number in range(12):
        active(station, f"LOT-{number}")
    with raises(CLAIM_NAME, match="12 claims of this station are still on"):
        active(station, "ONE-MORE")
    for number in range(12):
        station.named_claims.turn_off(f"LOT-{number}")
    for number in range(12, 24):
        active(station, f"LOT-{number}")
