"""The server's CAs as PEM: taken apart, looked at by OpenSSL, and written anew.

Not by pyca/cryptography: it refuses Starfield's root soon, whose serial number is zero.
"""

import binascii
import re
import ssl
from typing import Final

from device.errors.provisioning import CertificateUnacceptableError

MAX_BUNDLE_BYTES: Final = 24 * 1024
"""As stored in a device; Amazon's five roots have 6 KiB."""

_BEGIN: Final = b"-----BEGIN"
_BLOCK: Final = re.compile(
    rb"-----BEGIN ([^-\r\n]*)-----((?:(?!-----BEGIN).)*?)-----END ([^-\r\n]*)-----", re.DOTALL
)
_LABEL: Final = b"CERTIFICATE"


def canonical_trust_anchors(pem: bytes) -> bytes:
    """Return the CA certificates in ``pem``, written anew in their order, and nothing else.

    Keys and remarks beside them are left out.

    Raises:
        CertificateUnacceptableError: there is no certificate, or one that cannot be used; the
            text says which, counting from 1.
    """
    blocks = _BLOCK.findall(pem)
    if pem.count(_BEGIN) != len(blocks):
        problem = f"holds a malformed certificate: one is cut, in line {_line_of_the_cut(pem)}"
        raise CertificateUnacceptableError(problem)
    certificates = [block for block in blocks if block[0].endswith(_LABEL)]
    if not certificates:
        raise CertificateUnacceptableError("holds no PEM certificate")
    bundle = "".join(_canonical(number, *each) for number, each in enumerate(certificates, 1))
    if len(bundle) > MAX_BUNDLE_BYTES:
        problem = f"has {len(bundle)} bytes, at most {MAX_BUNDLE_BYTES} are taken"
        raise CertificateUnacceptableError(problem)
    return bundle.encode("ascii")


def _line_of_the_cut(pem: bytes) -> int:
    """Return the line, counting from 1, in which the first block without an end begins."""
    start = pem.index(_BEGIN)
    while (block := _BLOCK.match(pem, start)) is not None:
        start = pem.index(_BEGIN, block.end())
    return pem.count(b"\n", 0, start) + 1


def _canonical(number: int, label: bytes, body: bytes, end: bytes) -> str:
    if (label, end) != (_LABEL, _LABEL):
        kind = label.decode("ascii", "backslashreplace")
        problem = f"holds a malformed certificate: number {number} is labelled {kind!r}"
        raise CertificateUnacceptableError(problem)
    try:
        der = binascii.a2b_base64(b"".join(body.split()), strict_mode=True)
        pem = ssl.DER_cert_to_PEM_cert(der)
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem)
    except (ssl.SSLError, ValueError) as error:
        problem = f"holds a malformed certificate: number {number}{_subject(body)}: {error}"
        raise CertificateUnacceptableError(problem) from None
    if len(der) != _length_of(der):
        problem = f"holds a malformed certificate: other bytes follow number {number}"
        raise CertificateUnacceptableError(problem)
    return pem


def _subject(body: bytes) -> str:
    """Return the subject in brackets, where so much can be read."""
    from cryptography import x509  # noqa: PLC0415 - 40 ms, and few bundles are spoiled

    try:
        certificate = x509.load_der_x509_certificate(binascii.a2b_base64(body))
        return f" ({certificate.subject.rfc4514_string()})"
    except ValueError:
        return ""


def _length_of(der: bytes) -> int:
    """Return how long the DER value says that it is (X.690, 8.1.3); OpenSSL skips what follows."""
    if len(der) < 2 or der[1] < 0x80:
        return 2 + der[1] if len(der) > 1 else -1
    octets = der[1] - 0x80
    return 2 + octets + int.from_bytes(der[2 : 2 + octets], "big")
