"""Is a certificate that is not this device's refused before anything is done with it?"""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519

from device.errors.provisioning import CertificateUnacceptableError
from device.identity.certificates import (
    CLOCK_SKEW,
    Expectation,
    certificate_id,
    check_certificate,
    validity,
)
from device.identity.csr import subject_name
from tests.support.certificates import NOW, DeviceAuthority, new_key, pem_of

AUTHORITY = DeviceAuthority()
KEY = new_key()
SUBJECT = subject_name({"common_name": "SN-1"})
START, END = NOW - timedelta(days=1), NOW + timedelta(days=1)
PEM = AUTHORITY.issue(KEY.public_key(), SUBJECT, not_before=START, not_after=END)
SECOND = timedelta(seconds=1)


def refusal(pem: bytes, expected: Expectation) -> str:
    """Return why ``pem`` is refused."""
    with pytest.raises(CertificateUnacceptableError) as raised:
        check_certificate(pem, expected)
    return str(raised.value)


def at(moment: datetime) -> Expectation:
    return Expectation(KEY.public_key(), now=moment.timestamp())


def test_the_certificate_that_is_expected() -> None:
    check_certificate(
        PEM,
        Expectation(
            public_key=KEY.public_key(),
            certificate_id=certificate_id(PEM),
            subject=SUBJECT,
            issuer_pem=AUTHORITY.certificate_pem,
            now=NOW.timestamp(),
        ),
    )


def test_the_id_is_the_fingerprint() -> None:
    certificate = x509.load_pem_x509_certificate(PEM)

    assert certificate_id(PEM) == certificate.fingerprint(hashes.SHA256()).hex()


def test_another_key() -> None:
    assert "another key" in refusal(PEM, Expectation(new_key().public_key()))


def test_a_key_of_a_type_that_no_device_has() -> None:
    pem = AUTHORITY.issue(ed25519.Ed25519PrivateKey.generate().public_key(), SUBJECT)

    assert "another key" in refusal(pem, Expectation(KEY.public_key()))


def test_another_id() -> None:
    expected = Expectation(KEY.public_key(), certificate_id="0" * 64)

    assert f"id is {certificate_id(PEM)}, not {'0' * 64}" in refusal(PEM, expected)


def test_another_subject() -> None:
    expected = Expectation(KEY.public_key(), subject=subject_name({"common_name": "SN-2"}))

    assert refusal(PEM, expected).endswith("subject is 'CN=SN-1', asked for was 'CN=SN-2'")


def test_a_subject_with_more_than_was_asked_for() -> None:
    fields = {"common_name": "SN-1", "organization": "Someone"}
    pem = AUTHORITY.issue(KEY.public_key(), fields)

    assert "subject" in refusal(pem, Expectation(KEY.public_key(), subject=SUBJECT))


@pytest.mark.parametrize("moment", [START, NOW, END, START - CLOCK_SKEW])
def test_times_at_which_it_is_valid(moment: datetime) -> None:
    check_certificate(PEM, at(moment))


def test_not_yet_valid() -> None:
    assert "is not valid before 2026-11-22" in refusal(PEM, at(START - CLOCK_SKEW - SECOND))


def test_expired() -> None:
    assert "expired at 2026-11-24" in refusal(PEM, at(END + SECOND))


def test_without_a_clock_there_is_no_verdict() -> None:
    pem = AUTHORITY.issue(
        KEY.public_key(), SUBJECT, not_before=NOW, not_after=NOW + timedelta(seconds=1)
    )

    check_certificate(pem, Expectation(KEY.public_key(), now=None))


def test_another_issuer() -> None:
    expected = Expectation(
        KEY.public_key(), issuer_pem=DeviceAuthority("another authority").certificate_pem
    )

    assert "names 'CN=device authority'" in refusal(PEM, expected)


def test_one_of_several_issuers() -> None:
    bundle = DeviceAuthority("another").certificate_pem + AUTHORITY.certificate_pem

    check_certificate(PEM, Expectation(KEY.public_key(), issuer_pem=bundle))


def test_another_issuer_of_the_same_name() -> None:
    impostor = DeviceAuthority("device authority")

    assert "not issued by the issuer_ca" in refusal(
        PEM, Expectation(KEY.public_key(), issuer_pem=impostor.certificate_pem)
    )


@pytest.mark.parametrize(
    ("pem", "problem"),
    [
        (b"", "found 0"),
        (b"null", "found 0"),
        (pem_of(KEY), "found 0"),
        (PEM + PEM, "found 2"),
        (PEM[: len(PEM) // 2], "not a certificate"),
        (PEM.replace(b"M", b"N"), "not a certificate"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "not a certificate"),
    ],
)
def test_garbage(pem: bytes, problem: str) -> None:
    assert problem in refusal(pem, Expectation(KEY.public_key()))


def test_when_it_is_valid() -> None:
    assert validity(PEM) == (START.timestamp(), END.timestamp())


def test_the_end_that_aws_gives_is_understood() -> None:
    pem = AUTHORITY.issue(KEY.public_key(), SUBJECT)

    assert datetime.fromtimestamp(validity(pem)[1], UTC).year == 2049
