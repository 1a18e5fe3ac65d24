"""The server trust anchors that a device is given: Amazon's, or those of a local AWS."""

import re
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509

from device.errors import ConfigurationError

AMAZON_ROOTS: Final = Path(__file__).resolve().parent.parent / "certs"
"""Folder with Amazon's root CAs, one PEM file each (certs/README.md)."""
_NEXT: Final = "Give the CA certificate that signs the endpoint's, as PEM: --root-ca FILE."
_PEM: Final = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", re.DOTALL)
_BEGIN: Final = b"-----BEGIN CERTIFICATE-----"
_LARGEST: Final = 32 * 1024
"""Bytes of all certificates: half of what a device can store; Amazon's five roots have 7 KB."""


def load_root_ca(source: Path = AMAZON_ROOTS, now: datetime | None = None) -> bytes:
    """Return the certificates in ``source``, a PEM file or a folder of them, and nothing else.

    Raises:
        ConfigurationError: one of them is not usable as a CA certificate, and the error names
            which; or there is none, or they are too many for a device.
    """
    files = sorted(source.glob("*.pem")) if source.is_dir() else [source]
    found = [pem for file in files for pem in _certificates_in(file, now or datetime.now(UTC))]
    if not found:
        raise ConfigurationError(str(source), "", "there is no PEM certificate in it", _NEXT)
    bundle = b"".join(pem.rstrip() + b"\n" for pem in found)
    if len(bundle) > _LARGEST:
        problem = (
            f"its {len(found)} certificates have {len(bundle)} bytes; a device takes {_LARGEST}"
        )
        raise ConfigurationError(str(source), "", problem, _NEXT)
    return bundle


def _certificates_in(file: Path, now: datetime) -> list[bytes]:
    content = _read(file)
    found: list[bytes] = _PEM.findall(content)
    for number, pem in enumerate(found, start=1):
        _check(f"certificate {number} of {len(found)}", file, pem, now)
    if content.count(_BEGIN) != len(found):
        problem = f"certificate {len(found) + 1} in it is cut short"
        raise ConfigurationError(str(file), "", problem, _NEXT)
    return found


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            str(file), "", f"cannot be read: {error.strerror}", _NEXT
        ) from error


def _check(which: str, file: Path, pem: bytes, now: datetime) -> None:
    # By OpenSSL: Starfield's root has the serial number 0, which cryptography is about to refuse.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=pem.decode("ascii"))
    except (ssl.SSLError, UnicodeDecodeError) as error:
        raise ConfigurationError(str(file), "", f"{which} is malformed: {error}", _NEXT) from error
    if not context.get_ca_certs():
        problem = f"{which}{_subject(pem)} is not that of a CA"
        raise ConfigurationError(str(file), "", problem, _NEXT)
    (certificate,) = context.get_ca_certs()
    first, last = str(certificate["notBefore"]), str(certificate["notAfter"])
    if not ssl.cert_time_to_seconds(first) <= now.timestamp() <= ssl.cert_time_to_seconds(last):
        problem = f"{which}{_subject(pem)} is valid only from {first} to {last}"
        raise ConfigurationError(str(file), "", problem, _NEXT)


def _subject(pem: bytes) -> str:
    """Return ``, SUBJECT,`` to be put behind a certificate's number; "" if it is unreadable."""
    try:
        return f", {x509.load_pem_x509_certificate(pem).subject.rfc4514_string()},"
    except ValueError:
        return ""
