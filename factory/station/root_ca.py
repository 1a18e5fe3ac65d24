"""The server trust anchors that a device is given: Amazon's, or those of a local AWS."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from device.config.regular_file import read_regular_file
from device.errors import ConfigurationError
from device.errors.provisioning import CertificateUnacceptableError
from device.identity.trust_anchors import (
    canonical_trust_anchors,
    read_certificates,
    subject_in_brackets,
)
from factory.account.documents import FILES

AMAZON_ROOTS: Final = (FILES / "certs").resolve()
"""Folder with Amazon's root CAs, one PEM file each (certs/README.md)."""
_NEXT: Final = "Give the CA certificate that signs the endpoint's, as PEM: --root-ca FILE."


def load_root_ca(source: Path = AMAZON_ROOTS, now: datetime | None = None) -> bytes:
    """Return the certificates in ``source``, a PEM file or a folder of them, and nothing else.

    Raises:
        ConfigurationError: one of them is not usable as a CA certificate, and the error names
            which; or there is none, or they are too many for a device.
    """
    files = sorted(source.glob("*.pem")) if source.is_dir() else [source]
    if not files:
        raise ConfigurationError(str(source), "", "there is no PEM certificate in it", _NEXT)
    bundle = b"".join(_checked(file, now or datetime.now(UTC)) for file in files)
    with _named(source):
        return canonical_trust_anchors(bundle)


def _checked(file: Path, now: datetime) -> bytes:
    with _named(file):
        each = read_certificates(read_regular_file(file, next_step=_NEXT))
        for number, pem in enumerate(each, start=1):
            if problem := _problem_with(pem, now):
                which = f"certificate {number} of {len(each)}{subject_in_brackets(pem.encode())}"
                raise CertificateUnacceptableError(f"{which} {problem}")
    return "".join(each).encode("ascii")


@contextmanager
def _named(file: Path) -> Iterator[None]:
    """Let an error name the file."""
    try:
        yield
    except CertificateUnacceptableError as error:
        raise ConfigurationError(str(file), "", str(error), _NEXT) from None


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
