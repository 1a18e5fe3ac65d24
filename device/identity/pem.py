"""Certificates and keys in PEM: parsed once, and written again from what was parsed.

Libraries differ in what they make of a PEM file. pyca/cryptography takes the first certificate
and skips what is around it, and it takes the labels ``X509 CERTIFICATE`` and encapsulated
headers; awscrt refuses a file with any of these (measured with cryptography 50, awscrt 0.36).
So what came from outside is never passed on: it is parsed, checked, and encoded again.
"""

import re
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.bindings._rust import pkcs7
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from device.errors.provisioning import CertificateUnacceptableError

try:  # what the public names lead to, by way of Python's `email`
    load_der_pkcs7_certificates = pkcs7.load_der_pkcs7_certificates
    serialize_certificates = pkcs7.serialize_certificates
except AttributeError:
    from cryptography.hazmat.primitives.serialization.pkcs7 import (
        load_der_pkcs7_certificates,
        serialize_certificates,
    )

MAX_CERTIFICATE_BYTES: Final = 8192
"""Of one certificate as PEM. Those of AWS have 1,224; a CSR of full length leads to 5,500."""

MAX_CHAIN: Final = 4
"""Certificates in what the station installs: the leaf, and those that signed it."""

_CERTIFICATE: Final = b"CERTIFICATE"
_BLOCK: Final = re.compile(rb"-----BEGIN ([^-\r\n]*)-----")
_UNREADABLE: Final = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


def parse_certificate(pem: bytes) -> x509.Certificate:
    """Return the one certificate in ``pem``, with all decoded that is used later.

    Raises:
        CertificateUnacceptableError: it is not one, or there is another PEM block beside it.
    """
    labels = _BLOCK.findall(pem)
    count = labels.count(_CERTIFICATE)
    if count != 1:
        raise CertificateUnacceptableError(f"expected one PEM certificate, found {count}")
    if len(labels) != 1:
        raise CertificateUnacceptableError("there is other data beside the PEM certificate")
    return _parsed(pem)


def parse_chain(pem: bytes) -> tuple[x509.Certificate, ...]:
    """Return the certificates in ``pem``, the leaf first.

    Raises:
        CertificateUnacceptableError: there is none, too many, or another PEM block.
    """
    blocks = pem.split(b"-----BEGIN ")[1:]
    if not 1 <= len(blocks) <= MAX_CHAIN:
        problem = f"expected 1 to {MAX_CHAIN} PEM certificates, found {len(blocks)}"
        raise CertificateUnacceptableError(problem)
    return tuple(parse_certificate(b"-----BEGIN " + block) for block in blocks)


def canonical_certificate(certificate: x509.Certificate) -> bytes:
    """Return the certificate as PEM, with nothing around it.

    Raises:
        CertificateUnacceptableError: it is longer than a certificate of a device ever is, or
            OpenSSL does not read it.
    """
    pem = certificate.public_bytes(Encoding.PEM)
    if len(pem) > MAX_CERTIFICATE_BYTES:
        problem = f"the certificate has {len(pem)} bytes as PEM, at most {MAX_CERTIFICATE_BYTES}"
        raise CertificateUnacceptableError(f"{problem} are taken")
    _read_by_openssl(certificate)
    return pem


def canonical_chain(pem: bytes) -> bytes:
    """Return the certificates in ``pem``, written again in their order.

    Raises:
        CertificateUnacceptableError: as for `parse_chain`.
    """
    return b"".join(map(canonical_certificate, parse_chain(pem)))


def canonical_private_key(pem: bytes, certificate: x509.Certificate) -> bytes:
    """Return the private key of ``certificate`` as PKCS#8 PEM, written again.

    Raises:
        CertificateUnacceptableError: it is no key in plain PEM, of a type that TLS here does not
            use, or not the certificate's. The text holds nothing of the key.
    """
    try:
        key = load_pem_private_key(pem, password=None)
    except _UNREADABLE:
        raise CertificateUnacceptableError("the private key is not an unencrypted PEM") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise CertificateUnacceptableError("the private key is neither EC nor RSA")
    if key.public_key() != certificate.public_key():
        raise CertificateUnacceptableError("the key does not belong to its certificate")
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _read_by_openssl(certificate: x509.Certificate) -> None:
    """Let it be read by OpenSSL, which is stricter about names; awscrt reads as OpenSSL does.

    cryptography reads PKCS #7 with its own OpenSSL. `ssl` says the same, and takes 8 ms and 1 MiB.
    """
    try:
        load_der_pkcs7_certificates(serialize_certificates([certificate], Encoding.DER))
    except ValueError:
        problem = "not a certificate for TLS: OpenSSL does not read it"
        raise CertificateUnacceptableError(problem) from None


def _parsed(pem: bytes) -> x509.Certificate:
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        _read_through(certificate)
    except _UNREADABLE as error:
        raise CertificateUnacceptableError(f"not a certificate: {error}") from None
    return certificate


def _read_through(certificate: x509.Certificate) -> None:
    """Have all be decoded that is used later: cryptography decodes, and raises, when asked."""
    for name in ("subject", "issuer", "not_valid_before_utc", "not_valid_after_utc", "extensions"):
        getattr(certificate, name)
    certificate.public_key()
