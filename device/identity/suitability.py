"""Whether a certificate can be a TLS client's at all: its key, its signature, its extensions.

AWS IoT's own certificates have basicConstraints (no CA) and keyUsage (digitalSignature), and no
extended key usage. RFC 5280, section 4.2.1, says what an extension forbids where it is there.
"""

from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, SignatureAlgorithmOID

from device.errors.provisioning import CertificateUnacceptableError

SIGNATURES: Final = frozenset(
    {
        SignatureAlgorithmOID.RSA_WITH_SHA256,
        SignatureAlgorithmOID.RSA_WITH_SHA384,
        SignatureAlgorithmOID.RSA_WITH_SHA512,
        SignatureAlgorithmOID.RSASSA_PSS,
        SignatureAlgorithmOID.ECDSA_WITH_SHA256,
        SignatureAlgorithmOID.ECDSA_WITH_SHA384,
        SignatureAlgorithmOID.ECDSA_WITH_SHA512,
    }
)
"""By which a certificate may be signed (AWS IoT Core Developer Guide, "X.509 client
certificates"); MD5 and SHA-1 prove nothing, and awscrt negotiates none of the others."""

MIN_RSA_BITS: Final = 2048
_CURVES: Final = (ec.SECP256R1, ec.SECP384R1)
_CLIENT: Final = frozenset(
    {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
)


def check_suitable(certificate: x509.Certificate) -> None:
    """Check that a TLS client can use the certificate.

    Raises:
        CertificateUnacceptableError: it cannot; the text says why.
    """
    problem = _problem_of(certificate) or _problem_in_extensions(certificate.extensions)
    if problem:
        raise CertificateUnacceptableError(f"the certificate {problem}")


def _problem_of(certificate: x509.Certificate) -> str:
    key = certificate.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        if not isinstance(key.curve, _CURVES):
            return f"has a key on the curve {key.curve.name}, which AWS IoT or TLS does not support"
    elif not isinstance(key, rsa.RSAPublicKey):
        return "has a key that is neither EC nor RSA"
    elif key.key_size < MIN_RSA_BITS:
        return f"has an RSA key of {key.key_size} bits; at least {MIN_RSA_BITS} are needed"
    if certificate.signature_algorithm_oid not in SIGNATURES:
        return f"is signed with an algorithm that TLS does not accept: {_name(certificate)}"
    if certificate.not_valid_after_utc <= certificate.not_valid_before_utc:
        return "ends before it begins"
    return ""


def _problem_in_extensions(extensions: x509.Extensions) -> str:
    for extension in extensions:
        match extension.value:
            case x509.BasicConstraints(ca=True):
                return "belongs to a certificate authority"
            case x509.KeyUsage(digital_signature=False):
                return "has a key usage without digitalSignature"
            case x509.ExtendedKeyUsage() as usage if _CLIENT.isdisjoint(usage):
                return "has an extended key usage without clientAuth"
            case x509.UnrecognizedExtension(oid=oid) if extension.critical:
                return f"has an unknown critical extension: {oid.dotted_string}"
    return ""


def _name(certificate: x509.Certificate) -> str:
    try:
        digest = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        digest = None
    return digest.name if digest else certificate.signature_algorithm_oid.dotted_string
