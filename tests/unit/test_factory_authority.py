"""What the station's CAs sign is what X.509 and AWS IoT take, and nothing else is signed."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from device.identity.csr import build_csr, subject_name
from device.identity.pem import canonical_chain
from device.storage.keys import PrivateKey
from factory.errors import CSR_UNACCEPTABLE
from factory.station.authority import (
    ISSUING_LIFE,
    LEAF_LIFE,
    ROOT_LIFE,
    Authority,
    issue_root,
)
from tests.support.certificates import new_key
from tests.support.errors import raises

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SUBJECT = {"country": "DE", "serial_number": "SN-1", "common_name": "SN-1"}


def new_root(now: datetime = NOW) -> Authority:
    key = new_key()
    return Authority(issue_root(key, now), key)


def new_issuing(root: Authority, now: datetime = NOW) -> Authority:
    key = new_key()
    return Authority(root.issue_authority("JITP CA", key.public_key(), now), key)


def csr(key: PrivateKey, subject: dict[str, str]) -> str:
    return build_csr(key, subject_name(subject))


def leaf(authority: Authority, now: datetime = NOW) -> x509.Certificate:
    return x509.load_pem_x509_certificate(authority.issue_leaf(csr(new_key(), SUBJECT), now))


def limits(certificate: x509.Certificate) -> x509.BasicConstraints:
    found = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert found.critical
    return found.value


def usage(certificate: x509.Certificate) -> x509.KeyUsage:
    found = certificate.extensions.get_extension_for_class(x509.KeyUsage)
    assert found.critical
    return found.value


def test_each_link_of_the_chain_is_signed_by_the_one_above() -> None:
    root = new_root()
    issuing = new_issuing(root)
    root.certificate.verify_directly_issued_by(root.certificate)
    issuing.certificate.verify_directly_issued_by(root.certificate)
    leaf(issuing).verify_directly_issued_by(issuing.certificate)


def test_key_identifiers_link_the_chain() -> None:
    issuing = new_issuing(new_root())
    own = x509.SubjectKeyIdentifier.from_public_key(issuing.key.public_key()).digest
    found = leaf(issuing).extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    assert found.value.key_identifier == own


def test_issuing_ca_may_sign_leaves_and_no_further_ca() -> None:
    root = new_root()
    issuing = new_issuing(root)
    assert limits(root.certificate) == x509.BasicConstraints(ca=True, path_length=1)
    assert limits(issuing.certificate) == x509.BasicConstraints(ca=True, path_length=0)
    for authority in (root, issuing):
        assert usage(authority.certificate).key_cert_sign
        assert not usage(authority.certificate).digital_signature


def test_leaf_authenticates_a_client_and_signs_nothing() -> None:
    made = leaf(new_issuing(new_root()))
    assert limits(made) == x509.BasicConstraints(ca=False, path_length=None)
    assert usage(made).digital_signature
    assert not usage(made).key_cert_sign
    purposes = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_leaf_has_the_subject_and_the_key_of_the_csr() -> None:
    key, issuing = new_key(), new_issuing(new_root())
    made = x509.load_pem_x509_certificate(issuing.issue_leaf(csr(key, SUBJECT), NOW))
    assert made.subject == subject_name(SUBJECT)
    assert made.public_key() == key.public_key()


def test_each_certificate_ends_before_its_issuer() -> None:
    root = new_root()
    issuing = new_issuing(root)
    ends = [each.certificate.not_valid_after_utc for each in (root, issuing)]
    assert ends == [NOW + ROOT_LIFE, NOW + ISSUING_LIFE]
    assert leaf(issuing).not_valid_after_utc == NOW + LEAF_LIFE
    last_day = NOW + ISSUING_LIFE - timedelta(days=1)
    assert leaf(issuing, last_day).not_valid_after_utc == NOW + ISSUING_LIFE


def test_clock_that_is_a_day_behind_takes_a_new_leaf() -> None:
    assert leaf(new_issuing(new_root())).not_valid_before_utc == NOW - timedelta(days=1)


@given(st.timedeltas(min_value=timedelta(days=-30), max_value=timedelta(days=3650)))
def test_leaf_is_never_valid_before_or_after_its_issuer(age: timedelta) -> None:
    issuer = new_issuing(new_root())
    made = leaf(issuer, NOW + age)
    assert made.not_valid_before_utc >= issuer.certificate.not_valid_before_utc
    assert made.not_valid_after_utc <= issuer.certificate.not_valid_after_utc


def test_serial_numbers_of_certificates_are_random() -> None:
    issuer = new_issuing(new_root())
    drawn = {leaf(issuer).serial_number for _ in range(20)}
    assert len(drawn) == 20
    assert min(each.bit_length() for each in drawn) > 64


def test_cas_of_two_stations_have_different_names() -> None:
    root = new_root()
    assert new_root().certificate.subject != root.certificate.subject
    assert new_issuing(root).certificate.subject != new_issuing(root).certificate.subject


def test_verification_certificate_names_the_registration_code_and_soon_ends() -> None:
    issuing, key = new_issuing(new_root()), new_key()
    pem = issuing.issue_verification("c0de" * 16, key.public_key(), NOW)
    made = x509.load_pem_x509_certificate(pem.encode())
    made.verify_directly_issued_by(issuing.certificate)
    assert made.subject == subject_name({"common_name": "c0de" * 16})
    assert made.not_valid_after_utc == NOW + timedelta(days=1)
    assert limits(made).ca is False


def test_id_is_the_fingerprint() -> None:
    issuing = new_issuing(new_root())
    assert issuing.certificate_id == issuing.certificate.fingerprint(hashes.SHA256()).hex()
    loaded = x509.load_pem_x509_certificate(issuing.certificate_pem)
    assert loaded == issuing.certificate


def tampered() -> str:
    """Return a CSR that someone changed after it was signed."""
    der = x509.load_pem_x509_csr(csr(new_key(), SUBJECT).encode()).public_bytes(Encoding.DER)
    changed = x509.load_der_x509_csr(der.replace(b"SN-1", b"SN-2"))
    return changed.public_bytes(Encoding.PEM).decode()


@pytest.mark.parametrize(
    ("request_", "problem"),
    [
        ("no CSR", "not a certificate signing request"),
        (tampered(), "not signed by its own key"),
        (csr(new_key(), {}), "subject is empty"),
    ],
    ids=["no-csr", "tampered", "nobody"],
)
def test_what_is_no_honest_request_gets_no_certificate(request_: str, problem: str) -> None:
    with raises(CSR_UNACCEPTABLE, match=problem):
        new_issuing(new_root()).issue_leaf(request_, NOW)


def test_key_is_not_shown() -> None:
    assert "key" not in repr(new_root())


def test_leaf_is_written_as_devices_store_certificates() -> None:
    """So the station need not write it again for each device of a batch."""
    pem = new_issuing(new_root()).issue_leaf(csr(new_key(), SUBJECT), NOW)
    assert canonical_chain(pem) == pem
