"""The certificate signing request: who the device says it is, signed by the key it made."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from msgspec import Struct

from device.errors import ConfigurationError

DevicePrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
DevicePublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey

MAX_CSR_CHARACTERS: Final = 4096  # AWS IoT API reference, CreateCertificateFromCsr

_PRINTABLE: Final = re.compile(r"[A-Za-z0-9 '()+,\-./:=?]*")  # X.680, 41.4
_ASCII: Final = re.compile(r"[ -~]*")
_COUNTRY: Final = re.compile(r"[A-Za-z]{2}")
_NOT_IN_A_NAME: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode's categories of control characters, half characters, and ends of lines."""
_DIRECTIONS: Final = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)
"""Control characters of the direction of writing: with them one subject looks like another."""


class SubjectField(Struct, frozen=True):
    """What one field of a subject may hold.

    Source: RFC 5280, appendix A.1: the type of each attribute and its upper bound (``ub-``).
    """

    oid: x509.ObjectIdentifier
    longest: int
    """Bytes in UTF-8: X.520 counts characters, pyca/cryptography does not."""
    allowed: re.Pattern[str] | None = None
    """None for UTF8String."""
    words: str = "any text without control characters"
    in_template: str | None = None
    """What AWS's pseudo parameters call it, ``AWS::IoT::Certificate::...``; None: not offered."""
    in_policy: str | None = None
    """What AWS's policy variables call it, ``iot:Certificate.Subject....``; None: not offered."""

    def problem_with(self, value: str) -> str | None:
        """Return why the field cannot hold ``value``, and what it can; None if it can."""
        if not value.strip():
            return "is empty"
        if self.allowed is not None and not self.allowed.fullmatch(value):
            return f"{value!r} cannot be used; allowed: {self.words}"
        if any(
            unicodedata.category(each) in _NOT_IN_A_NAME or each in _DIRECTIONS for each in value
        ):
            return f"{value!r} cannot be used; allowed: {self.words}"
        if (size := len(value.encode())) > self.longest:
            return f"{value!r} has {size} bytes in UTF-8; allowed: {self.longest}"
        return None


def _printable(oid: x509.ObjectIdentifier, name: str) -> SubjectField:
    words = "A-Z a-z 0-9, space, and ' ( ) + , - . / : = ? (X.520 makes it a PrintableString)"
    return SubjectField(oid, 64, _PRINTABLE, words, name, name)


def _text(oid: x509.ObjectIdentifier, longest: int, name: str) -> SubjectField:
    return SubjectField(oid, longest, in_template=name, in_policy=name)


SUBJECT: Final[Mapping[str, SubjectField]] = {
    "country": SubjectField(
        NameOID.COUNTRY_NAME, 2, _COUNTRY, "two letters, as in ISO 3166", "Country", "Country"
    ),
    "state": SubjectField(
        NameOID.STATE_OR_PROVINCE_NAME, 128, in_template="StateName", in_policy="State"
    ),
    "locality": SubjectField(NameOID.LOCALITY_NAME, 128),
    "organization": _text(NameOID.ORGANIZATION_NAME, 64, "Organization"),
    "organizational_unit": _text(NameOID.ORGANIZATIONAL_UNIT_NAME, 64, "OrganizationalUnit"),
    "dn_qualifier": _printable(NameOID.DN_QUALIFIER, "DistinguishedNameQualifier"),
    "serial_number": _printable(NameOID.SERIAL_NUMBER, "SerialNumber"),
    "common_name": _text(NameOID.COMMON_NAME, 64, "CommonName"),
    "email_address": SubjectField(NameOID.EMAIL_ADDRESS, 255, _ASCII, "ASCII (IA5String)"),
}
"""Subject fields by the names that the settings use, in the order they are written.

Sources of AWS's names: AWS IoT Core Developer Guide, "Provisioning templates" and "X.509
certificate AWS IoT Core policy variables".
"""

FIELD_IN_TEMPLATE: Final[Mapping[str, str]] = {
    field.in_template: name for name, field in SUBJECT.items() if field.in_template
}
"""The names in `SUBJECT`, by those of AWS's pseudo parameters."""


def subject_name(
    fields: Mapping[str, str], source: str | Callable[[str], str] = "settings"
) -> x509.Name:
    """Return the X.509 name for ``fields``, e.g. ``{"common_name": "SN-1"}``.

    Fill placeholders first: what is checked is what the certificate will hold. ``source`` says
    where the fields are from, or, called with ``subject.FIELD``, where that one is from.

    Raises:
        ConfigurationError: a field is unknown, or X.520 does not allow its value.
    """
    where = source if callable(source) else lambda _: source
    for name, value in fields.items():
        key = f"subject.{name}"
        if name not in SUBJECT:
            step = f"Known: {', '.join(SUBJECT)}."
            raise ConfigurationError(where(key), key, "unknown subject field", step)
        if (problem := SUBJECT[name].problem_with(value)) is not None:
            raise ConfigurationError(where(key), key, problem)
    return x509.Name(
        x509.NameAttribute(field.oid, fields[name])
        for name, field in SUBJECT.items()
        if name in fields
    )


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
