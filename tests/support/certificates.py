"""Device certificates for tests, with whatever is wrong with them; servers use trustme."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from device.identity.csr import subject_name

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey

NOW = datetime(2026, 11, 23, tzinfo=UTC)
"""When the tests' certificates are issued; pass it to a `FakeClock` as ``NOW.timestamp()``."""


class DeviceAuthority:
    """Issues device certificates, as AWS IoT does."""

    def __init__(self, name: str = "device authority") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = subject_name({"common_name": name})
        self.certificate_pem = self.issue(self._key.public_key(), {"common_name": name})

    def issue(
        self,
        public_key: PublicKey,
        subject: Mapping[str, str] | x509.Name,
        *,
        not_before: datetime = NOW - timedelta(minutes=2),
        not_after: datetime = datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC),
    ) -> bytes:
        """Return a certificate as PEM."""
        name = subject if isinstance(subject, x509.Name) else subject_name(subject)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(not_before)
            .not_valid_after(not_after)
        )
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)


def certificate_for(csr_pem: str) -> bytes:
    """Return a certificate for the key and the subject of a CSR, as PEM."""
    csr = x509.load_pem_x509_csr(csr_pem.encode())
    key = csr.public_key()
    assert isinstance(key, PublicKey)
    return DeviceAuthority().issue(key, csr.subject)


def new_key() -> ec.EllipticCurvePrivateKey:
    """Return an EC P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def pem_of(key: PrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    """Return a private key as PKCS#8 PEM."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def self_signed(key: PrivateKey, common_name: str = "SN-1") -> bytes:
    """Return a PEM certificate of ``key``, valid now and signed by it wherever it lives."""
    name, now = subject_name({"common_name": common_name}), datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
