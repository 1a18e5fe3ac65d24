"""The station's CAs are made once, kept sealed, and found again."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from factory.account.changes import Outcome
from factory.errors import AUTHORITY_MISSING
from factory.station.authorities import ISSUING, ROOT, Authorities
from factory.station.station import open_or_make_station, open_station
from tests.support.errors import raises

NOW = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.fixture
def authorities(tmp_path: Path) -> Iterator[Authorities]:
    with open_or_make_station(tmp_path) as station:
        yield station.authorities


def test_all_are_made_at_once(authorities: Authorities) -> None:
    changes = authorities.ensure(NOW)
    assert [change.outcome for change in changes] == [Outcome.CREATED] * 4
    assert [each["ca"] for each in authorities.described()] == [ROOT, *ISSUING]


def test_second_run_makes_nothing(authorities: Authorities) -> None:
    authorities.ensure(NOW)
    before = list(authorities.described())
    changes = authorities.ensure(NOW)
    assert {change.outcome for change in changes} == {Outcome.UNCHANGED}
    assert list(authorities.described()) == before


def test_a_method_makes_the_root_and_its_own(authorities: Authorities) -> None:
    changes = authorities.ensure(NOW, ["jitr"])
    assert len(changes) == 2
    assert [each["ca"] for each in authorities.described()] == [ROOT, "jitr"]
    later = authorities.ensure(NOW, ["jitp"])
    assert [change.outcome for change in later] == [Outcome.UNCHANGED, Outcome.CREATED]


def test_each_method_has_a_ca_of_its_own_below_one_root(authorities: Authorities) -> None:
    authorities.ensure(NOW)
    issuing = [authorities.open(method) for method in ISSUING]
    assert len({each.certificate_id for each in issuing}) == len(ISSUING)
    for each in issuing:
        each.certificate.verify_directly_issued_by(authorities.open(ROOT).certificate)


def test_ca_signs_with_the_key_of_its_certificate(authorities: Authorities) -> None:
    authorities.ensure(NOW)
    for name in (ROOT, *ISSUING):
        authority = authorities.open(name)
        assert authority.key.public_key() == authority.certificate.public_key()


def test_they_outlive_the_process_and_are_open_to_readers(tmp_path: Path) -> None:
    with open_or_make_station(tmp_path) as station:
        station.authorities.ensure(NOW)
        made = list(station.authorities.described())
    with open_station(tmp_path, read_only=True) as one, open_station(tmp_path, read_only=True):
        assert list(one.authorities.described()) == made


def test_missing_ca_is_named_with_the_command_that_makes_it(authorities: Authorities) -> None:
    with raises(AUTHORITY_MISSING, match="no jitp CA") as raised:
        authorities.open("jitp")
    assert raised.value.next_step.endswith("factory ca init")
    assert list(authorities.described()) == []


def test_wanted_fields_are_those_of_the_latest_preparation(authorities: Authorities) -> None:
    assert authorities.wanted_fields("jitp") is None
    authorities.want_fields("jitp", frozenset({"CommonName", "Country"}))
    authorities.want_fields("jitp", frozenset({"CommonName"}))
    assert authorities.wanted_fields("jitp") == frozenset({"CommonName"})
    assert authorities.wanted_fields("jitr") is None


def test_unchanged_fields_are_not_written_again(tmp_path: Path) -> None:
    with open_or_make_station(tmp_path) as station:
        station.authorities.want_fields("jitp", frozenset({"CommonName"}))
    with open_station(tmp_path, read_only=True) as station:
        station.authorities.want_fields("jitp", frozenset({"CommonName"}))


def test_keys_are_in_no_file(tmp_path: Path) -> None:
    with open_or_make_station(tmp_path) as station:
        station.authorities.ensure(NOW)
        keys = [station.authorities.open(name).key for name in (ROOT, *ISSUING)]
    forms = [
        key.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )[-100:]
        for key in keys
    ]
    forms += [key.private_numbers().private_value.to_bytes(32, "big") for key in keys]  # type: ignore[union-attr] # EC keys
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(files) >= 4
    for file in files:
        assert not [form for form in forms if form in file.read_bytes()], file
        assert b"PRIVATE KEY" not in file.read_bytes()
        assert file.stat().st_mode & 0o077 == 0, f"{file} is readable by others"
