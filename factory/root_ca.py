"""The server trust anchors that a device is given: Amazon's, or those of a local AWS."""

import re
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from device.errors import ConfigurationError
from device.errors.provisioning import CertificateUnacceptableError
from device.identity.trust_anchors import canonical_trust_anchors

AMAZON_ROOTS: Final = Path(__file__).resolve().parent.parent / "certs"
"""Folder with Amazon's root CAs, one PEM file each (certs/README.md)."""
_NEXT: Final = "Give the CA certificate that signs the endpoint's, as PEM: --root-ca FILE."
_PEM: Final = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", re.DOTALL)


def load_root_ca(source: Path = AMAZON_ROOTS, now: datetime | None = None) -> bytes:
    """Return the certificates in ``source``, a PEM file or a folder of them, and nothing else.

    Raises:
        ConfigurationError: there is no usable CA certificate in it.
    """
    files = sorted(source.glob("*.pem")) if source.is_dir() else [source]
    found = [pem for file in files for pem in _PEM.findall(_read(file))]
    if not found:
        raise ConfigurationError(str(source), "", "there is no PEM certificate in it", _NEXT)
    for pem in found:
        _check(source, pem, now or datetime.now(UTC))
    try:
        return canonical_trust_anchors(b"\n".join(found))
    except CertificateUnacceptableError as error:
        raise ConfigurationError(str(source), "", str(error), _NEXT) from None


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            str(file), "", f"cannot be read: {error.strerror}", _NEXT
        ) from error


def _check(source: Path, pem: bytes, now: datetime) -> None:
    # By OpenSSL: Starfield's root has the serial number 0, which cryptography is about to refuse.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=pem.decode("ascii"))
    except (ssl.SSLError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            str(source), "", f"a certificate is malformed: {error}", _NEXT
        ) from error
    if not context.get_ca_certs():
        raise ConfigurationError(str(source), "", "a certificate in it is not that of a CA", _NEXT)
    (certificate,) = context.get_ca_certs()
    first, last = str(certificate["notBefore"]), str(certificate["notAfter"])
    if not ssl.cert_time_to_seconds(first) <= now.timestamp() <= ssl.cert_time_to_seconds(last):
        problem = f"a certificate in it is valid only from {first} to {last}"
        raise ConfigurationError(str(source), "", problem, _NEXT)
