"""Certificates that the endpoint presents, whatever is wrong with them, and the client's own."""

import ssl
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
_DAY: Final = timedelta(days=1)
_MANY_NAMES: Final = 200
"""Names that make it about 5 KiB; the chain of AWS IoT Core has about 4, and AWS adds 20 %."""


class Presented(Enum):
    """What the server presents; the value is how the report says it."""

    GOOD = "a good certificate"
    LARGE = "a large certificate"
    UNKNOWN_CA = "a certificate of a CA that the client does not know"
    WRONG_NAME = "a certificate for another name"
    EXPIRED = "a certificate that expired a day ago"
    NOT_YET_VALID = "a certificate that becomes valid tomorrow"
    SELF_SIGNED = "a certificate that signed itself"
    NO_INTERMEDIATE = "a certificate without the intermediate CA that issued it"
    ISSUED_BY_LEAF = "a certificate that another server's certificate issued"
    INTERMEDIATE_EXPIRED = "a certificate of an intermediate CA that expired"
    PATH_TOO_LONG = "a certificate of a CA below one that allows none"
    BAD_SIGNATURE = "a certificate whose signature is wrong"
    FOR_CLIENTS = "a certificate that may only be used by clients"
    NAME_ONLY_IN_SUBJECT = (
        "a certificate with the right name in its subject, and another in its SAN"
    )
    WILDCARD_OF_ALL = "a certificate for *"
    WEAK_KEY = "a certificate with an RSA key of 1024 bits"


@dataclass(frozen=True)
class Issuer:
    """A CA: its certificate and its key."""

    certificate: x509.Certificate
    key: PrivateKey


@dataclass(frozen=True)
class Issued:
    """A certificate chain and its key, in PEM."""

    chain_pem: bytes
    key_pem: bytes


class Authority:
    """The CA that the client under test trusts; it issues the client's own certificate as well."""

    def __init__(self, name: str = "advisor root") -> None:
        """Make the CA."""
        key = ec.generate_private_key(ec.SECP256R1())
        self.root: Final = Issuer(_ca_certificate(name, key, None), key)
        self._server_key: Final = rsa.generate_private_key(65537, 2048)
        self._makers: Final[dict[Presented, Callable[[str], Issued]]] = {
            Presented.GOOD: lambda host: self._leaf([host]),
            Presented.LARGE: lambda host: self._leaf(
                [host, *(f"{n:03}.large.example.com" for n in range(_MANY_NAMES))]
            ),
            Presented.UNKNOWN_CA: lambda host: self._leaf([host], issuer=_root("somebody else")),
            Presented.WRONG_NAME: lambda _host: self._leaf(["elsewhere.example.com"]),
            Presented.EXPIRED: lambda host: self._leaf([host], start=-9 * _DAY, end=-_DAY),
            Presented.NOT_YET_VALID: lambda host: self._leaf([host], start=_DAY, end=9 * _DAY),
            Presented.SELF_SIGNED: self._self_signed,
            Presented.NO_INTERMEDIATE: self._no_intermediate,
            Presented.ISSUED_BY_LEAF: self._issued_by_leaf,
            Presented.INTERMEDIATE_EXPIRED: self._intermediate_expired,
            Presented.PATH_TOO_LONG: self._path_too_long,
            Presented.BAD_SIGNATURE: self._bad_signature,
            Presented.FOR_CLIENTS: lambda host: self._leaf(
                [host], usage=ExtendedKeyUsageOID.CLIENT_AUTH
            ),
            Presented.NAME_ONLY_IN_SUBJECT: lambda host: self._leaf(
                ["elsewhere.example.com"], common_name=host
            ),
            Presented.WILDCARD_OF_ALL: lambda _host: self._leaf(["*"]),
            Presented.WEAK_KEY: lambda host: self._leaf(
                [host],
                key=rsa.generate_private_key(65537, 1024),  # noqa: S505 # nosec B505 - is the case
            ),
        }

    @property
    def root_pem(self) -> bytes:
        """The CA's certificate."""
        return self.root.certificate.public_bytes(Encoding.PEM)

    def server(self, presented: Presented, host: str) -> Issued:
        """Return what a server with the name ``host`` presents."""
        return self._makers[presented](host)

    def client(self, name: str) -> Issued:
        """Return a client's certificate and key."""
        key = ec.generate_private_key(ec.SECP256R1())
        usage = ExtendedKeyUsageOID.CLIENT_AUTH
        return self._leaf([], common_name=name, key=key, usage=usage)

    def sign_csr(self, csr_pem: bytes) -> bytes:
        """Return a certificate for the key and the subject of a CSR, as AWS IoT does."""
        csr = x509.load_pem_x509_csr(csr_pem)
        return self._signed(csr.public_key(), csr.subject)

    def issue(self, key: CertificatePublicKeyTypes, common_name: str) -> bytes:
        """Return a client's certificate for a key that only the client has."""
        return self._signed(key, _name(common_name))

    def _signed(self, key: CertificatePublicKeyTypes, subject: x509.Name) -> bytes:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.root.certificate.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=2))
            .not_valid_after(now + 365 * _DAY)
        )
        return builder.sign(self.root.key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def _leaf(  # noqa: PLR0913 - each is a way to be wrong
        self,
        names: list[str],
        *,
        common_name: str = "advisor",
        issuer: Issuer | None = None,
        key: PrivateKey | None = None,
        start: timedelta = -_DAY,
        end: timedelta = 9 * _DAY,
        usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH,
        above: tuple[Issuer, ...] = (),
    ) -> Issued:
        issuer, key = issuer or self.root, key or self._server_key
        builder = _builder(common_name, key, issuer.certificate.subject, start, end)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if names:
            builder = builder.add_extension(_alternatives(names), critical=False)
        leaf = builder.sign(issuer.key, hashes.SHA256())
        chain = (leaf, *(each.certificate for each in above))
        return Issued(b"".join(each.public_bytes(Encoding.PEM) for each in chain), _pem_of(key))

    def _self_signed(self, host: str) -> Issued:
        key = self._server_key
        builder = _builder(host, key, _name(host), -_DAY, 9 * _DAY)
        builder = builder.add_extension(_alternatives([host]), critical=False)
        certificate = builder.sign(key, hashes.SHA256())
        return Issued(certificate.public_bytes(Encoding.PEM), _pem_of(key))

    def _no_intermediate(self, host: str) -> Issued:
        return self._leaf([host], issuer=_intermediate(self.root))

    def _issued_by_leaf(self, host: str) -> Issued:
        key = ec.generate_private_key(ec.SECP256R1())
        issued = self._leaf(["elsewhere.example.com"], common_name="a server", key=key)
        other = Issuer(x509.load_pem_x509_certificate(issued.chain_pem), key)
        return self._leaf([host], issuer=other, above=(other,))

    def _intermediate_expired(self, host: str) -> Issued:
        between = _intermediate(self.root, start=-9 * _DAY, end=-_DAY)
        return self._leaf([host], issuer=between, above=(between,))

    def _path_too_long(self, host: str) -> Issued:
        one = _intermediate(self.root, "one", path_length=0)
        two = _intermediate(one, "two")
        return self._leaf([host], issuer=two, above=(two, one))

    def _bad_signature(self, host: str) -> Issued:
        stranger = Issuer(self.root.certificate, ec.generate_private_key(ec.SECP256R1()))
        return self._leaf([host], issuer=stranger)


def server_context(issued: Issued, client_ca_pem: bytes) -> ssl.SSLContext:
    """Return TLS settings for a server that presents ``issued`` and asks for a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ALL:@SECLEVEL=0")  # a weak certificate is to be presented, too
    with tempfile.NamedTemporaryFile() as file:  # OpenSSL reads them from a file only
        Path(file.name).write_bytes(issued.chain_pem + issued.key_pem)
        context.load_cert_chain(file.name)
    context.load_verify_locations(cadata=client_ca_pem.decode())
    context.verify_mode = ssl.CERT_OPTIONAL  # who has none is told so by the verdict
    return context


def client_context(root_pem: bytes, own: Issued | None) -> ssl.SSLContext:
    """Return TLS settings for a client that trusts ``root_pem``: for clients in tests."""
    context = ssl.create_default_context(cadata=root_pem.decode())
    if own is not None:
        with tempfile.NamedTemporaryFile() as file:
            Path(file.name).write_bytes(own.chain_pem + own.key_pem)
            context.load_cert_chain(file.name)
    return context


def _root(name: str) -> Issuer:
    key = ec.generate_private_key(ec.SECP256R1())
    return Issuer(_ca_certificate(name, key, None), key)


def _intermediate(
    above: Issuer,
    name: str = "advisor intermediate",
    start: timedelta = -_DAY,
    end: timedelta = 9 * _DAY,
    path_length: int | None = None,
) -> Issuer:
    key = ec.generate_private_key(ec.SECP256R1())
    made = _ca_certificate(name, key, above, path_length=path_length, start=start, end=end)
    return Issuer(made, key)


def _ca_certificate(  # noqa: PLR0913 - the fields of a certificate
    name: str,
    key: PrivateKey,
    above: Issuer | None,
    *,
    path_length: int | None = None,
    start: timedelta = -_DAY,
    end: timedelta = 9 * _DAY,
) -> x509.Certificate:
    issuer = _name(name) if above is None else above.certificate.subject
    builder = _builder(name, key, issuer, start, end)
    constraint = x509.BasicConstraints(ca=True, path_length=path_length)
    builder = builder.add_extension(constraint, critical=True)
    return builder.sign(key if above is None else above.key, hashes.SHA256())


def _builder(
    common_name: str, key: PrivateKey, issuer: x509.Name, start: timedelta, end: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(common_name))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + start)
        .not_valid_after(now + end)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _alternatives(names: list[str]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([_general(name) for name in names])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem_of(key: PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
