"""The authority that signs device certificates, and what it refuses to sign."""

import stat
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from localcloud.errors import STATE_FOLDER
from localcloud.gaps import certificate_shape
from localcloud.gaps._support.issuer import Issuer, open_issuer
from localcloud.seam import Seam
from tests.support.errors import raises

SHORT = 1024  # bits
NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "SN-1")])
Sign = Callable[[str, str, str], str]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("issuer") / "issuing-ca.pem"
    open_issuer(path)
    return path


@pytest.fixture
def issuer(authority: Path) -> Issuer:
    return open_issuer(authority)


@pytest.fixture
def sign(issuer: Issuer) -> Sign:
    iot = SimpleNamespace(
        _mtls_trust_anchors=list, sign_leaf_certificate=None, sign_certificate_request=None
    )
    certificate_shape.close(Seam(iot), issuer)
    signer: Sign = iot.sign_certificate_request
    return signer


def csr(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) -> str:
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    builder = x509.CertificateSigningRequestBuilder().subject_name(NAME)
    return builder.sign(key, algorithm).public_bytes(serialization.Encoding.PEM).decode()


def test_its_key_is_for_the_owner_only(authority: Path) -> None:
    assert stat.S_IMODE(authority.stat().st_mode) == 0o600


def test_it_is_the_same_after_a_restart(authority: Path, issuer: Issuer) -> None:
    assert open_issuer(authority).certificate_pem == issuer.certificate_pem


def test_its_certificates_verify_against_it(issuer: Issuer) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    made = x509.load_pem_x509_certificate(issuer.issue(key.public_key(), NAME).encode())
    made.verify_directly_issued_by(x509.load_pem_x509_certificate(issuer.certificate_pem.encode()))


@pytest.mark.parametrize("content", [b"", b"no key"])
def test_a_damaged_file_is_refused_not_replaced(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "issuing-ca.pem"
    path.write_bytes(content)
    with raises(STATE_FOLDER, match="is damaged"):
        open_issuer(path)
    assert path.read_bytes() == content


def test_another_kind_of_key_is_refused(tmp_path: Path, issuer: Issuer) -> None:
    path = tmp_path / "issuing-ca.pem"
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(key + issuer.certificate_pem.encode())
    with raises(STATE_FOLDER, match="no RSA key"):
        open_issuer(path)


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_keys_on_the_nist_curves_are_signed(sign: Sign, curve: ec.EllipticCurve) -> None:
    key = ec.generate_private_key(curve)
    made = x509.load_pem_x509_certificate(sign("", "", csr(key)).encode())
    assert made.public_key() == key.public_key()


@pytest.mark.parametrize(
    "request_pem",
    [
        pytest.param(csr(ec.generate_private_key(ec.SECP256K1())), id="another-curve"),
        pytest.param(csr(ed25519.Ed25519PrivateKey.generate()), id="ed25519"),
        pytest.param(csr(rsa.generate_private_key(65537, SHORT)), id="short-rsa"),
        pytest.param(csr(ec.generate_private_key(ec.SECP256R1())) + " " * 4096, id="too-long"),
        pytest.param("-----BEGIN CERTIFICATE REQUEST-----\nAA==\n", id="cut-off"),
        pytest.param("", id="empty"),
    ],
)
def test_what_aws_does_not_accept_is_not_signed(sign: Sign, request_pem: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (each by its own words)
        sign("", "", request_pem)


def test_a_csr_for_a_key_that_did_not_sign_it_is_refused(sign: Sign) -> None:
    request = x509.load_pem_x509_csr(csr(ec.generate_private_key(ec.SECP256R1())).encode())
    der = bytearray(request.public_bytes(serialization.Encoding.DER))
    at = der.index(b"SN-1")
    der[at : at + 4] = b"SN-2"
    forged = x509.load_der_x509_csr(bytes(der)).public_bytes(serialization.Encoding.PEM)
    with pytest.raises(ValueError, match="not signed by its own key"):
        sign("", "", forged.decode())
