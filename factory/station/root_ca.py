"""The server trust anchors that a device is given: Amazon's, or those of a local AWS."""

import ssl
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509

from device.errors import ConfigurationError
from device.errors.provisioning import CertificateUnacceptableError
from device.identity.trust_anchors import canonical_trust_anchors
from factory.files import FILES

AMAZON_ROOTS: Final = FILES / "certs"
"""Folder with Amazon's root CAs, one PEM file each (certs/README.md)."""
_NEXT: Final = "Give the CA certificate that signs the endpoint's, as PEM: --root-ca FILE."
_END: Final = "-----END CERTIFICATE-----\n"


def load_root_ca(source: Path = AMAZON_ROOTS, now: datetime | None = None) -> bytes:
    """Return the certificates in ``source``, a PEM file or a folder of them, and nothing else.

    Raises:
        ConfigurationError: one of them is not usable as a CA certificate, and the error names
            which; or there is none, or they are too many for a device.
    """
    files = sorted(source.glob("*.pem")) if source.is_dir() else [source]
    if not files:
        raise ConfigurationError(str(source), "", "there is no PEM certificate in it", _NEXT)
    bundles = [_certificates_in(file, now or datetime.now(UTC)) for file in files]
    return _canonical(source, b"".join(bundles))


def _certificates_in(file: Path, now: datetime) -> bytes:
    bundle = _canonical(file, _read(file))
    each = [f"{part}{_END}" for part in bundle.decode("ascii").split(_END) if part]
    for number, pem in enumerate(each, start=1):
        if problem := _problem_with(pem, now):
            which = f"certificate {number} of {len(each)}{_subject(pem)}"
            raise ConfigurationError(str(file), "", f"{which} {problem}", _NEXT)
    return bundle


def _canonical(source: Path, pem: bytes) -> bytes:
    try:
        return canonical_trust_anchors(pem)
    except CertificateUnacceptableError as error:
        raise ConfigurationError(str(source), "", str(error), _NEXT) from None


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            str(file), "", f"cannot be read: {error.strerror}", _NEXT
        ) from error


def _problem_with(pem: str, now: datetime) -> str:
    """Return why the certificate anchors no trust; "" if it does."""
    # By OpenSSL: Starfield's root has the serial number 0, which cryptography is about to refuse.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=pem)
    if not context.get_ca_certs():
        return "is not a CA certificate"
    (certificate,) = context.get_ca_certs()
    first, last = str(certificate["notBefore"]), str(certificate["notAfter"])
    if not ssl.cert_time_to_seconds(first) <= now.timestamp() <= ssl.cert_time_to_seconds(last):
        return f"is valid only from {first} to {last}"
    return ""


def _subject(pem: str) -> str:
    """Return `` (SUBJECT)``; "" if it cannot be read."""
    try:
        with warnings.catch_warnings(action="ignore"):
            return f" ({x509.load_pem_x509_certificate(pem.encode()).subject.rfc4514_string()})"
    except ValueError:
        return ""
