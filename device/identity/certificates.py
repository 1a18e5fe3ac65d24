"""The checks a certificate passes before this device uses it; what passed is what is stored.

Whoever answers on the other side could be wrong or hostile, and a certificate that was
stored without a look has bricked devices before.
"""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from msgspec import Struct, structs

from device.errors.provisioning import CertificateUnacceptableError
from device.identity.csr import FIELD_IN_TEMPLATE, SUBJECT, DevicePublicKey
from device.identity.pem import canonical_certificate, parse_certificate, parse_chain
from device.identity.public_key import spki
from device.identity.suitability import check_suitable

CLOCK_SKEW: Final = timedelta(minutes=5)
"""A device's clock may be this far behind the certificate authority's."""


class CheckedCertificate(Struct, frozen=True):
    """A certificate that was parsed and checked, written again from what was parsed."""

    pem: bytes
    certificate_id: str
    not_before: float
    """Seconds since the epoch, as ``not_after``."""
    not_after: float


class Expectation(Struct, frozen=True):
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
    return _id_of(parse_certificate(certificate_pem))


def validity(certificate_pem: bytes) -> tuple[float, float]:
    """Return from when until when the certificate is valid, in seconds since the epoch."""
    certificate = parse_certificate(certificate_pem)
    return (
        certificate.not_valid_before_utc.timestamp(),
        certificate.not_valid_after_utc.timestamp(),
    )


def subject_fields(certificate_pem: bytes) -> frozenset[str]:
    """Return which of the subject fields that AWS's templates know the certificate has."""
    subject = parse_certificate(certificate_pem).subject
    return frozenset(
        name
        for name, field in FIELD_IN_TEMPLATE.items()
        if subject.get_attributes_for_oid(SUBJECT[field].oid)
    )


def check_certificate(certificate_pem: bytes, expected: Expectation) -> CheckedCertificate:
    """Check that the certificate is the one ``expected``; return it as it is to be stored.

    Raises:
        CertificateUnacceptableError: it is not; the text says in which respect.
    """
    certificate = parse_certificate(certificate_pem)
    if spki(certificate.public_key()) != spki(expected.public_key):
        raise CertificateUnacceptableError("the certificate belongs to another key")
    identifier = _id_of(certificate)
    if expected.certificate_id not in {None, identifier}:
        problem = f"the certificate's id is {identifier}, not {expected.certificate_id}"
        raise CertificateUnacceptableError(problem)
    if expected.subject not in {None, certificate.subject}:
        asked, got = expected.subject, certificate.subject.rfc4514_string()
        problem = f"the certificate's subject is {got!r}, asked for was {_text(asked)!r}"
        raise CertificateUnacceptableError(problem)
    check_suitable(certificate)
    _check_validity(certificate, expected.now)
    _check_issuer(certificate, expected.issuer_pem)
    return CheckedCertificate(
        canonical_certificate(certificate),
        identifier,
        certificate.not_valid_before_utc.timestamp(),
        certificate.not_valid_after_utc.timestamp(),
    )


def check_chain(chain_pem: bytes, expected: Expectation) -> CheckedCertificate:
    """Check the first certificate of a chain; the ``pem`` returned is that of the whole chain.

    Raises:
        CertificateUnacceptableError: the leaf is not the one ``expected``, or another PEM block
            is not a certificate, or does not follow by its signature.
    """
    chain = parse_chain(chain_pem)
    leaf = check_certificate(canonical_certificate(chain[0]), expected)
    for certificate, issuer in pairwise(chain):
        if not is_issued_by(certificate, issuer):
            named = certificate.issuer.rfc4514_string()
            problem = f"the chain is broken: {named!r} does not follow"
            raise CertificateUnacceptableError(problem)
    return structs.replace(leaf, pem=b"".join(map(canonical_certificate, chain)))


def leaf_of(chain_pem: bytes) -> bytes:
    """Return the first certificate of a chain, which is the device's own."""
    end = b"-----END CERTIFICATE-----"
    return chain_pem.partition(end)[0] + end + b"\n"


def _id_of(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA256()).hex()


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
    try:
        issuers = x509.load_pem_x509_certificates(issuer_pem)
    except ValueError as error:
        raise CertificateUnacceptableError(f"the issuer_ca cannot be read: {error}") from None
    if any(is_issued_by(certificate, issuer) for issuer in issuers):
        return
    named = certificate.issuer.rfc4514_string()
    problem = f"the certificate was not issued by the issuer_ca; it names {named!r}"
    raise CertificateUnacceptableError(problem)


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether ``issuer`` is named in ``certificate``, and its key signed it."""
    with suppress(ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        certificate.verify_directly_issued_by(issuer)
        return True
    return False


def _text(name: x509.Name | None) -> str:
    return name.rfc4514_string() if name is not None else ""
