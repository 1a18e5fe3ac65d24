"""The checks a certificate passes before this device uses it.

Whoever answers on the other side could be wrong or hostile, and a certificate that was
stored without a look has bricked devices before.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.x509.oid import NameOID

from device.errors.provisioning import CertificateUnacceptableError
from device.identity.csr import DevicePublicKey

CLOCK_SKEW: Final = timedelta(minutes=5)
"""A device's clock may be this far behind the certificate authority's."""

TEMPLATE_FIELDS: Final = {
    "Country": NameOID.COUNTRY_NAME,
    "Organization": NameOID.ORGANIZATION_NAME,
    "OrganizationalUnit": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "DistinguishedNameQualifier": NameOID.DN_QUALIFIER,
    "StateName": NameOID.STATE_OR_PROVINCE_NAME,
    "CommonName": NameOID.COMMON_NAME,
    "SerialNumber": NameOID.SERIAL_NUMBER,
}
"""By the names of AWS's pseudo parameters, ``AWS::IoT::Certificate::...``."""

_BEGIN: Final = b"-----BEGIN CERTIFICATE-----"


@dataclass(frozen=True)
class Expectation:
    """What is known of a certificate before it comes; None where nothing is known."""

    public_key: DevicePublicKey
    certificate_id: str | None = None
    subject: x509.Name | None = None
    issuer_pem: bytes | None = None
    now: float | None = None
    """Seconds since the epoch, or None when the clock is not set."""


def certificate_id(certificate_pem: bytes) -> str:
    """Return the AWS certificate id: the SHA-256 of the certificate's DER, in hex.

    Source: seen on genuine AWS certificates; AWS support in moto issue 3321.

    Raises:
        CertificateUnacceptableError: ``certificate_pem`` holds no certificate.
    """
    return _load(certificate_pem).fingerprint(hashes.SHA256()).hex()


def validity(certificate_pem: bytes) -> tuple[float, float]:
    """Return from when until when the certificate is valid, in seconds since the epoch."""
    certificate = _load(certificate_pem)
    return (
        certificate.not_valid_before_utc.timestamp(),
        certificate.not_valid_after_utc.timestamp(),
    )


def subject_fields(certificate_pem: bytes) -> frozenset[str]:
    """Return which of the subject fields that AWS's templates know the certificate has."""
    subject = _load(certificate_pem).subject
    return frozenset(
        name for name, oid in TEMPLATE_FIELDS.items() if subject.get_attributes_for_oid(oid)
    )


def check_certificate(certificate_pem: bytes, expected: Expectation) -> None:
    """Check that the certificate is the one ``expected``.

    Raises:
        CertificateUnacceptableError: it is not; the text says in which respect.
    """
    certificate = _load(certificate_pem)
    if _spki(certificate.public_key()) != _spki(expected.public_key):
        raise CertificateUnacceptableError("the certificate belongs to another key")
    identifier = certificate.fingerprint(hashes.SHA256()).hex()
    if expected.certificate_id not in {None, identifier}:
        problem = f"the certificate's id is {identifier}, not {expected.certificate_id}"
        raise CertificateUnacceptableError(problem)
    if expected.subject not in {None, certificate.subject}:
        asked, got = expected.subject, certificate.subject.rfc4514_string()
        problem = f"the certificate's subject is {got!r}, asked for was {_text(asked)!r}"
        raise CertificateUnacceptableError(problem)
    _check_validity(certificate, expected.now)
    _check_issuer(certificate, expected.issuer_pem)


def leaf_of(chain_pem: bytes) -> bytes:
    """Return the first certificate of a chain, which is the device's own."""
    end = b"-----END CERTIFICATE-----"
    return chain_pem.partition(end)[0] + end + b"\n"


def _load(certificate_pem: bytes) -> x509.Certificate:
    if certificate_pem.count(_BEGIN) != 1:
        count = certificate_pem.count(_BEGIN)
        raise CertificateUnacceptableError(f"expected one PEM certificate, found {count}")
    try:
        certificate = x509.load_pem_x509_certificate(certificate_pem)
        _read_through(certificate)
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise CertificateUnacceptableError(f"not a certificate: {error}") from None
    return certificate


def _read_through(certificate: x509.Certificate) -> None:
    """Have all be decoded that is used later: cryptography decodes, and raises, when asked."""
    for name in ("subject", "issuer", "not_valid_before_utc", "not_valid_after_utc"):
        getattr(certificate, name)
    certificate.public_key()


def _check_validity(certificate: x509.Certificate, now: float | None) -> None:
    if now is None:
        return
    moment = datetime.fromtimestamp(now, UTC)
    if moment + CLOCK_SKEW < certificate.not_valid_before_utc:
        since = certificate.not_valid_before_utc.isoformat()
        problem = f"the certificate is not valid before {since}; the device's clock says {moment}"
        raise CertificateUnacceptableError(problem)
    if moment > certificate.not_valid_after_utc:
        until = certificate.not_valid_after_utc.isoformat()
        raise CertificateUnacceptableError(f"the certificate expired at {until}")


def _check_issuer(certificate: x509.Certificate, issuer_pem: bytes | None) -> None:
    if issuer_pem is None:
        return
    for issuer in x509.load_pem_x509_certificates(issuer_pem):
        with suppress(ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            certificate.verify_directly_issued_by(issuer)
            return
    named = certificate.issuer.rfc4514_string()
    problem = f"the certificate was not issued by the issuer_ca; it names {named!r}"
    raise CertificateUnacceptableError(problem)


def _spki(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _text(name: x509.Name | None) -> str:
    return name.rfc4514_string() if name is not None else ""
