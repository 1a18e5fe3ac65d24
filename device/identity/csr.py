"""The certificate signing request: who the device says it is, signed by the key it made."""

from collections.abc import Mapping
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from device.errors import ConfigurationError

DevicePrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
DevicePublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey

SUBJECT_FIELDS: Final[Mapping[str, x509.ObjectIdentifier]] = {
    "country": NameOID.COUNTRY_NAME,
    "state": NameOID.STATE_OR_PROVINCE_NAME,
    "locality": NameOID.LOCALITY_NAME,
    "organization": NameOID.ORGANIZATION_NAME,
    "organizational_unit": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "dn_qualifier": NameOID.DN_QUALIFIER,
    "serial_number": NameOID.SERIAL_NUMBER,
    "common_name": NameOID.COMMON_NAME,
}
"""Subject fields by the names that AWS's template parameters use, in the order they are written."""

MAX_CSR_CHARACTERS: Final = 4096  # AWS IoT API reference, CreateCertificateFromCsr


def subject_name(fields: Mapping[str, str], source: str = "settings") -> x509.Name:
    """Return the X.509 name for ``fields``, e.g. ``{"common_name": "SN-1"}``.

    Raises:
        ConfigurationError: a field is unknown, empty or too long (RFC 5280, appendix A).
    """
    for name in fields:
        if name not in SUBJECT_FIELDS:
            known = ", ".join(SUBJECT_FIELDS)
            problem = "unknown subject field"
            raise ConfigurationError(source, f"subject.{name}", problem, f"Known: {known}.")
    attributes = []
    for name, oid in SUBJECT_FIELDS.items():
        if name in fields:
            try:
                attributes.append(x509.NameAttribute(oid, fields[name]))
            except ValueError as error:
                raise ConfigurationError(source, f"subject.{name}", str(error)) from None
    return x509.Name(attributes)


def build_csr(key: DevicePrivateKey, subject: x509.Name) -> str:
    """Return a PEM CSR for ``subject``, signed with SHA-256 by ``key`` wherever it lives.

    Raises:
        ConfigurationError: the CSR is longer than AWS IoT accepts.
    """
    csr = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    pem = csr.public_bytes(serialization.Encoding.PEM).decode("ascii")
    if len(pem) > MAX_CSR_CHARACTERS:
        problem = f"the CSR has {len(pem)} characters, AWS IoT takes {MAX_CSR_CHARACTERS}"
        raise ConfigurationError("settings", "subject", problem)
    return pem


def subject_of(csr_pem: str) -> x509.Name:
    """Return the subject that ``csr_pem`` asks for."""
    return x509.load_pem_x509_csr(csr_pem.encode("ascii")).subject
