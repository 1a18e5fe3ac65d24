"""The server trust anchors that a device is given: Amazon's, or those of a local AWS."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509

from device.errors import ConfigurationError

AMAZON_ROOTS: Final = Path(__file__).resolve().parent.parent / "certs"
"""Folder with Amazon's root CAs, one PEM file each (certs/README.md)."""
_PEM: Final = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", re.DOTALL)


def load_root_ca(source: Path = AMAZON_ROOTS, now: datetime | None = None) -> bytes:
    """Return the certificates in ``source``, a PEM file or a folder of them, and nothing else.

    Raises:
        ConfigurationError: there is no usable CA certificate in it.
    """
    files = sorted(source.glob("*.pem")) if source.is_dir() else [source]
    found = [pem for file in files for pem in _PEM.findall(_read(file))]
    if not found:
        raise ConfigurationError(str(source), "", "there is no PEM certificate in it")
    for pem in found:
        _check(source, pem, now or datetime.now(UTC))
    return b"".join(pem.rstrip() + b"\n" for pem in found)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigurationError(str(file), "", f"cannot be read: {error.strerror}") from error


def _check(source: Path, pem: bytes, now: datetime) -> None:
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        is_ca = _is_ca(certificate)
    except ValueError as error:
        raise ConfigurationError(str(source), "", f"a certificate is malformed: {error}") from error
    subject = certificate.subject.rfc4514_string()
    if not is_ca:
        raise ConfigurationError(str(source), subject, "is not the certificate of a CA")
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        dates = f"{certificate.not_valid_before_utc:%F} to {certificate.not_valid_after_utc:%F}"
        raise ConfigurationError(str(source), subject, f"is valid only from {dates}")


def _is_ca(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False
