"""The private authority that signs device certificates, shaped as AWS IoT's is.

Source for the shape: two genuine AWS certificates (docs/aws-iot-facts.md, 2.3). Such a
certificate does not chain to the roots that a device trusts for the endpoint (Amazon Root CA 1
and its like), so neither does it here: a device that checks its own certificate against the
endpoint's root would fail on AWS, and fails on this.
"""

import datetime as dt
import os
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from localcloud.errors import STATE_FOLDER

DevicePublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey

END_OF_2049: Final = dt.datetime(2049, 12, 31, 23, 59, 59, tzinfo=dt.UTC)
_CLOCK_SKEW: Final = dt.timedelta(minutes=1)
# One relative distinguished name with one attribute: blanks where one would expect commas.
_ISSUER: Final = x509.Name(
    [
        x509.NameAttribute(
            NameOID.ORGANIZATIONAL_UNIT_NAME,
            "Amazon Web Services O=Amazon.com Inc. L=Seattle ST=Washington C=US",
        )
    ]
)


class Issuer:
    """Signs device certificates with a key that stays in the state folder."""

    def __init__(self, key: rsa.RSAPrivateKey, certificate: x509.Certificate) -> None:
        """Use a signing key and the certificate of its public half."""
        self._key = key
        self._certificate = certificate

    @property
    def certificate_pem(self) -> str:
        """The authority's own certificate."""
        return _pem(self._certificate)

    def issue(
        self,
        public_key: DevicePublicKey,
        subject: x509.Name,
        not_after: dt.datetime = END_OF_2049,
    ) -> str:
        """Return a device certificate as PEM, valid from a minute ago to ``not_after`` (UTC)."""
        builder = (
            _unsigned(public_key, subject, not_after)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
        )
        return _pem(builder.sign(self._key, hashes.SHA256()))


def open_issuer(path: Path) -> Issuer:
    """Return the authority kept in ``path`` (key and certificate, 0600), made if there is none.

    Raises:
        StateFolderError: the file is there and holds something else.
    """
    if not path.exists():
        _write(path, _new_authority())
    material = path.read_bytes()
    try:
        key = serialization.load_pem_private_key(material, password=None)
        certificate = x509.load_pem_x509_certificate(material)
    except ValueError as error:
        raise STATE_FOLDER.error(f"{path.name} is damaged", path=path.parent) from error
    if not isinstance(key, rsa.RSAPrivateKey):
        raise STATE_FOLDER.error(f"{path.name} holds no RSA key", path=path.parent)
    return Issuer(key, certificate)


def _new_authority() -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    certificate = (
        _unsigned(key.public_key(), _ISSUER, END_OF_2049)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    key_pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return key_pem + certificate.public_bytes(serialization.Encoding.PEM)


def _write(path: Path, material: bytes) -> None:
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(material)
    new.replace(path)


def _unsigned(
    public_key: DevicePublicKey, subject: x509.Name, not_after: dt.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .issuer_name(_ISSUER)
        .subject_name(subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(dt.datetime.now(dt.UTC) - _CLOCK_SKEW)
        .not_valid_after(not_after)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
