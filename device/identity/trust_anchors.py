"""The server's CAs as PEM: taken apart, looked at by OpenSSL, and written again.

Not by pyca/cryptography: it refuses Starfield's root soon, whose serial number is zero.
"""

import binascii
import re
import ssl
import warnings
from typing import Final

from device.errors.provisioning import CertificateUnacceptableError

MAX_BUNDLE_BYTES: Final = 24 * 1024
"""As stored in a device; Amazon's five roots have 6 KiB."""

_BEGIN: Final = re.compile(rb"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----")
_BLOCK: Final = re.compile(
    rb"-----BEGIN CERTIFICATE-----((?:(?!-----BEGIN ).)*?)-----END CERTIFICATE-----", re.DOTALL
)


def canonical_trust_anchors(pem: bytes) -> bytes:
    """Return the CA certificates in ``pem``, written again in their order, and nothing else.

    Keys and remarks beside them are left out.

    Raises:
        CertificateUnacceptableError: there is no certificate, or one that cannot be used; the
            text says which, in which line, and its subject where it can be read.
    """
    bundle = "".join(read_certificates(pem))
    if len(bundle) > MAX_BUNDLE_BYTES:
        problem = f"has {len(bundle)} bytes, at most {MAX_BUNDLE_BYTES} are taken"
        raise CertificateUnacceptableError(problem)
    return bundle.encode("ascii")


def read_certificates(pem: bytes) -> list[str]:
    """Return each certificate in ``pem``, in their order, as PEM that was written again.

    Raises:
        CertificateUnacceptableError: as for `canonical_trust_anchors`.
    """
    begins = [found.start() for found in _BEGIN.finditer(pem)]
    if not begins:
        what = "holds no PEM certificate" if pem.strip() else "is empty"
        raise CertificateUnacceptableError(what)
    certificates = []
    for number, start in enumerate(begins, 1):
        line = pem.count(b"\n", 0, start) + 1
        certificates.append(_canonical(pem, start, f"{number} of {len(begins)} (line {line})"))
    return certificates


def _canonical(pem: bytes, start: int, which: str) -> str:
    said = f"holds a malformed certificate: certificate {which}"
    block = _BLOCK.match(pem, start)
    if block is None:
        raise CertificateUnacceptableError(f"{said} is truncated, or its label is not CERTIFICATE")
    try:
        der = binascii.a2b_base64(b"".join(block[1].split()), strict_mode=True)
        canonical = ssl.DER_cert_to_PEM_cert(der)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=canonical)
    except (ssl.SSLError, ValueError) as error:
        problem = f"{said} cannot be read{subject_in_brackets(block[0])}: {error}"
        raise CertificateUnacceptableError(problem) from None
    if len(der) != _length_of(der):
        raise CertificateUnacceptableError(f"{said}: other bytes follow it")
    return canonical


def subject_in_brackets(pem: bytes) -> str:
    """Return `` (SUBJECT)`` of a certificate, for people; "" if it cannot be read."""
    from cryptography import x509  # noqa: PLC0415 - 40 ms, and few bundles are spoiled

    try:
        with warnings.catch_warnings(action="ignore"):
            return f" ({x509.load_pem_x509_certificate(pem).subject.rfc4514_string()})"
    except (ValueError, TypeError):
        return ""


def _length_of(der: bytes) -> int:
    """Return how long the DER value says that it is (X.690, 8.1.3); OpenSSL skips what follows."""
    if len(der) < 2 or der[1] < 0x80:
        return 2 + der[1] if len(der) > 1 else -1
    octets = der[1] - 0x80
    return 2 + octets + int.from_bytes(der[2 : 2 + octets], "big")
