"""Certificates look like those of AWS IoT.

AWS signs device certificates with a private authority whose name is one OU, valid until the end
of 2049, key usage digitalSignature, no extended key usage; a certificate for a CSR keeps the
CSR's subject and key, and RSA keys of at least 2048 bits or keys on P-256, P-384 or P-521 are
accepted (docs/aws-iot-facts.md, 2.3 and 4.2). MiniStack signs them with the root of its own
endpoint, and those with keys made by AWS for 825 days.
"""

import datetime as dt
import inspect
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from localcloud.gaps._support.issuer import END_OF_2049, DevicePublicKey, Issuer
from localcloud.seam import Seam

_CURVES: Final = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_SMALLEST_RSA: Final = 2048
_LONGEST_CSR: Final = 4096  # characters, botocore model of CreateCertificateFromCsr
_MINISTACK_DAYS: Final = 825
_ANCHOR_ID: Final = "localcloud-issuing-ca"


def is_open(iot: Seam) -> bool:
    """Whether MiniStack still signs with the authority of its own endpoint."""
    days_valid = inspect.signature(iot["sign_leaf_certificate"]).parameters["days_valid"]
    return bool(days_valid.default == _MINISTACK_DAYS)


def close(iot: Seam, issuer: Issuer) -> None:
    """Sign device certificates with ``issuer``, and let the listener trust them."""
    trust_anchors = iot["_mtls_trust_anchors"]

    def sign_leaf_certificate(
        ca_cert_pem: str,  # noqa: ARG001  (MiniStack's signature)
        ca_key_pem: str,  # noqa: ARG001
        common_name: str,
        days_valid: float | None = None,
    ) -> tuple[str, str, str]:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        certificate = issuer.issue(key.public_key(), subject, _end(days_valid))
        return certificate, _private_pem(key), _public_pem(key.public_key())

    def sign_certificate_request(
        ca_cert_pem: str,  # noqa: ARG001
        ca_key_pem: str,  # noqa: ARG001
        csr_pem: str,
    ) -> str:
        try:
            csr = _checked(csr_pem)
            return issuer.issue(_accepted_key(csr), csr.subject)
        except UnsupportedAlgorithm as error:
            raise ValueError(str(error)) from error

    iot["sign_leaf_certificate"] = sign_leaf_certificate
    iot["sign_certificate_request"] = sign_certificate_request
    # A claim for a trusted user is in no registry, so only its issuer can vouch for it.
    iot["_mtls_trust_anchors"] = lambda: [*trust_anchors(), (_ANCHOR_ID, issuer.certificate_pem)]


def _end(days_valid: float | None) -> dt.datetime:
    if days_valid is None:
        return END_OF_2049
    return dt.datetime.now(dt.UTC) + dt.timedelta(days=days_valid)


def _checked(csr_pem: str) -> x509.CertificateSigningRequest:
    if len(csr_pem) > _LONGEST_CSR:
        raise ValueError(f"the CSR has more than {_LONGEST_CSR} characters")
    csr = x509.load_pem_x509_csr(csr_pem.encode())
    if not csr.is_signature_valid:
        raise ValueError("the CSR is not signed by its own key")
    return csr


def check_csr(csr_pem: str) -> x509.CertificateSigningRequest:
    """Return a CSR that AWS IoT takes.

    Raises:
        ValueError: it is not a CSR, is not signed by its key, or has a key of another type.
    """
    try:
        csr = _checked(csr_pem)
        _accepted_key(csr)
    except UnsupportedAlgorithm as error:
        raise ValueError(str(error)) from error
    return csr


def _accepted_key(csr: x509.CertificateSigningRequest) -> DevicePublicKey:
    key = csr.public_key()
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= _SMALLEST_RSA:
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, _CURVES):
        return key
    raise ValueError("the CSR's key is neither RSA of 2048 bits or more nor on a NIST curve")


def _private_pem(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    ).decode()


def _public_pem(key: rsa.RSAPublicKey) -> str:
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()
