"""The station's certificate authorities: a root, and below it one that issues for each method.

What they sign follows RFC 5280: a path length, so that an issuing CA makes no further CAs;
key usages; key identifiers. AWS IoT is told of the issuing CA alone, since the CA that
*directly* signs a device's certificate is the one to register (AWS IoT developer guide,
"Manage your CA certificates").
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from device.identity.csr import subject_name
from device.storage.keys import PrivateKey, PublicKey
from factory.errors import CSR_UNACCEPTABLE

ROOT_LIFE: Final = timedelta(days=20 * 365)
ISSUING_LIFE: Final = timedelta(days=10 * 365)
LEAF_LIFE: Final = timedelta(days=5 * 365)
"""A leaf never outlives its issuer, so the last ones are shorter."""
_VERIFICATION_LIFE: Final = timedelta(days=1)
_CLOCKS_APART: Final = timedelta(days=1)
"""How much a device's clock, or AWS's, may be behind the station's: a Pi without a battery boots
with the time of its last shutdown."""
_ORGANIZATION: Final = "Firstboot"
_FINGERPRINT_CHARACTERS: Final = 8
"""Of the key, in the CA's name: AWS takes ten CAs with one subject, and stations are many."""


@dataclass(frozen=True)
class Authority:
    """A CA that can sign: its certificate, and a handle for its key."""

    certificate: x509.Certificate
    key: PrivateKey = field(repr=False)

    @cached_property
    def certificate_pem(self) -> bytes:
        """The CA's certificate."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def certificate_id(self) -> str:
        """What AWS calls the CA once it is registered: SHA-256 of the certificate, in hex."""
        return self.certificate.fingerprint(hashes.SHA256()).hex()

    def issue_authority(self, name: str, key: PublicKey, now: datetime) -> x509.Certificate:
        """Return a CA certificate for ``key`` that may sign leaves only."""
        begin = max(now - _CLOCKS_APART, self.certificate.not_valid_before_utc)
        end = min(now + ISSUING_LIFE, self.certificate.not_valid_after_utc)
        builder = _ca(named(name, key), key, (begin, end), path_length=0)
        return self._sign(builder, self.certificate.subject)

    def issue_leaf(self, csr_pem: str, now: datetime) -> bytes:
        """Return a device certificate (PEM) with the CSR's subject and key.

        Raises:
            CsrUnacceptableError: it is no CSR, not signed by its own key, or names nobody.
        """
        csr = _checked(csr_pem)
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
        builder = (
            self._end_entity(csr.subject, csr.public_key(), now, LEAF_LIFE)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(usage, critical=False)
        )
        return self._sign(builder, self.certificate.subject).public_bytes(Encoding.PEM)

    def issue_verification(self, registration_code: str, key: PublicKey, now: datetime) -> str:
        """Return the certificate (PEM) that proves to AWS that this CA's key is ours."""
        name = subject_name({"common_name": registration_code})
        builder = self._end_entity(name, key, now, _VERIFICATION_LIFE)
        signed = self._sign(builder, self.certificate.subject)
        return signed.public_bytes(Encoding.PEM).decode()

    def _end_entity(
        self, subject: x509.Name, key: object, now: datetime, life: timedelta
    ) -> x509.CertificateBuilder:
        end = min(now + life, self.certificate.not_valid_after_utc)
        begin = max(now - _CLOCKS_APART, self.certificate.not_valid_before_utc)
        return _certificate(subject, key, begin, end).add_extension(
            x509.BasicConstraints(ca=False, path_length=None), critical=True
        )

    def _sign(self, builder: x509.CertificateBuilder, issuer: x509.Name) -> x509.Certificate:
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        builder = builder.issuer_name(issuer).add_extension(identifier, critical=False)
        return builder.sign(self.key, hashes.SHA256())


def issue_root(key: PrivateKey, now: datetime) -> x509.Certificate:
    """Return a self-signed CA certificate for ``key`` that may sign issuing CAs."""
    name = named("Root CA", key.public_key())
    life = (now - _CLOCKS_APART, now + ROOT_LIFE)
    builder = _ca(name, key.public_key(), life, path_length=1)
    return builder.issuer_name(name).sign(key, hashes.SHA256())


def issue_signer(key: PrivateKey, now: datetime) -> x509.Certificate:
    """Return a self-signed certificate for ``key`` that signs data, and no certificates."""
    name = named("Manifest Signer", key.public_key())
    builder = _certificate(name, key.public_key(), now - _CLOCKS_APART, now + ROOT_LIFE)
    limits = x509.BasicConstraints(ca=False, path_length=None)
    builder = builder.add_extension(limits, critical=True)
    builder = builder.add_extension(_usage(digital_signature=True), critical=True)
    return builder.issuer_name(name).sign(key, hashes.SHA256())


def named(name: str, key: PublicKey) -> x509.Name:
    """Return a CA's subject: what it is for, and the beginning of its key's fingerprint."""
    digest = x509.SubjectKeyIdentifier.from_public_key(key).digest.hex()
    common_name = f"{_ORGANIZATION} {name} {digest[:_FINGERPRINT_CHARACTERS]}"
    return subject_name({"organization": _ORGANIZATION, "common_name": common_name})


def _ca(
    subject: x509.Name, key: PublicKey, life: tuple[datetime, datetime], *, path_length: int
) -> x509.CertificateBuilder:
    limit = x509.BasicConstraints(ca=True, path_length=path_length)
    builder = _certificate(subject, key, *life).add_extension(limit, critical=True)
    return builder.add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)


def _certificate(
    subject: x509.Name, key: object, begin: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key)  # type: ignore[arg-type] # a CSR's key; signing refuses what cannot be
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)  # type: ignore[arg-type] # as above
    )


_USAGES: Final = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
    "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
)  # fmt: skip


def _usage(**wanted: bool) -> x509.KeyUsage:
    return x509.KeyUsage(**{usage: wanted.get(usage, False) for usage in _USAGES})


def _checked(csr_pem: str) -> x509.CertificateSigningRequest:
    try:
        csr = x509.load_pem_x509_csr(csr_pem.encode())
    except ValueError as error:
        raise CSR_UNACCEPTABLE.error(f"not a certificate signing request: {error}") from None
    if not csr.is_signature_valid:
        raise CSR_UNACCEPTABLE.error("the CSR is not signed by its own key")
    if not list(csr.subject):
        raise CSR_UNACCEPTABLE.error("the CSR's subject is empty")
    return csr
