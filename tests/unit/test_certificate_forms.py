"""Is what was checked what is used? Any form of PEM is refused, or written again for TLS."""

import base64
import tempfile
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

from device.errors.provisioning import CertificateUnacceptableError
from device.identity.certificates import Expectation, check_certificate, check_chain
from device.identity.csr import subject_name
from device.identity.pem import (
    MAX_CERTIFICATE_BYTES,
    canonical_chain,
    canonical_private_key,
    parse_certificate,
)
from device.identity.trust_anchors import MAX_BUNDLE_BYTES, canonical_trust_anchors
from tests.support.certificates import NOW, DeviceAuthority, new_key, pem_of
from tests.support.effort import one_in
from tests.support.tls_libraries import load_everywhere, trust_everywhere

AUTHORITY: Final = DeviceAuthority()
KEY: Final = new_key()
EXPECTED: Final = Expectation(KEY.public_key())
PEM: Final = AUTHORITY.issue(KEY.public_key(), {"common_name": "SN-1"})
BODY: Final = b"".join(PEM.splitlines()[1:-1])
BEGIN, END = b"-----BEGIN CERTIFICATE-----\n", b"-----END CERTIFICATE-----\n"
OTHER: Final = AUTHORITY.issue(new_key().public_key(), {"common_name": "SN-2"})
X509_LABEL: Final = PEM.replace(b" CERT", b" X509 CERT")
TRUSTED_LABEL: Final = PEM.replace(b" CERT", b" TRUSTED CERT")

TAKEN: Final = {
    "as it comes": PEM,
    "CRLF": PEM.replace(b"\n", b"\r\n"),
    "one line": BEGIN + BODY + b"\n" + END,
    "lines of seven": BEGIN
    + b"\n".join(BODY[at : at + 7] for at in range(0, len(BODY), 7))
    + b"\n"
    + END,
    "no newline at the end": PEM.rstrip(),
    "text before": b"Certificate:\n    Data: ...\n" + PEM,
    "text behind": PEM + b"and so on",
    "zero behind": PEM + b"\0",
    "not ASCII": "für SN-1\n".encode() + PEM,
    "padded": b" " * 50_000 + PEM,
}
REFUSED: Final = {
    "a key before": pem_of(KEY) + PEM,
    "a key behind": PEM + pem_of(KEY),
    "another certificate": PEM + OTHER,
    "itself again": PEM + PEM,
    "X509 label": X509_LABEL,
    "X509 label before": X509_LABEL + PEM,
    "X509 label behind": PEM + X509_LABEL,
    "TRUSTED label": TRUSTED_LABEL,
    "TRUSTED label behind": PEM + TRUSTED_LABEL,
    "parameters before": b"-----BEGIN EC PARAMETERS-----\nAAAA\n-----END EC PARAMETERS-----\n"
    + PEM,
    "zero inside": BEGIN + BODY[:9] + b"\0" + BODY[9:] + b"\n" + END,
    "cut": PEM[:-40],
    "bytes behind the DER": BEGIN + base64.b64encode(base64.b64decode(BODY) + b"\0") + b"\n" + END,
    "nothing": b"",
}


@pytest.mark.parametrize("form", TAKEN)
def test_a_form_that_is_taken_is_written_anew(form: str, tmp_path: Path) -> None:
    checked = check_certificate(TAKEN[form], EXPECTED)

    assert checked.pem == PEM
    load_everywhere(checked.pem, pem_of(KEY), tmp_path)


@pytest.mark.parametrize("form", REFUSED)
def test_a_form_that_is_refused(form: str) -> None:
    with pytest.raises(CertificateUnacceptableError):
        check_certificate(REFUSED[form], EXPECTED)


def test_encapsulated_headers_do_not_reach_tls(tmp_path: Path) -> None:
    pem = PEM.replace(BEGIN, BEGIN + b"Proc-Type: 4,ENCRYPTED\n\n")

    assert check_certificate(pem, EXPECTED).pem == PEM


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.sampled_from([PEM, OTHER, pem_of(KEY), X509_LABEL, b"text\n", b"\0", b"\r\n", b"-----"]),
        max_size=4,
    ),
    st.lists(st.tuples(st.integers(0, len(PEM) - 1), st.integers(0, 255)), max_size=2),
)
def test_whatever_is_accepted_can_be_used_by_tls(
    parts: list[bytes], changes: list[tuple[int, int]]
) -> None:
    bent = bytearray(PEM)
    for place, byte in changes:
        bent[place] = byte
    try:
        checked = check_certificate(b"".join([*parts, bytes(bent)]), EXPECTED)
    except CertificateUnacceptableError:
        return
    with tempfile.TemporaryDirectory() as folder:
        load_everywhere(checked.pem, pem_of(KEY), Path(folder))


def test_a_bent_certificate_that_is_accepted_can_be_used_by_tls(tmp_path: Path) -> None:
    """Without a known issuer the signature is not checked, as for a certificate from AWS."""
    der, reached = base64.b64decode(BODY), Counter[bool]()
    name_of_another_type = 57 * 8 + 3
    for bit in (name_of_another_type, *one_in(3, range(0, len(der) * 8, 5))):
        bent = bytearray(der)
        bent[bit // 8] ^= 1 << bit % 8
        try:
            checked = check_certificate(BEGIN + base64.b64encode(bent) + b"\n" + END, EXPECTED)
        except CertificateUnacceptableError:
            reached[False] += 1
            continue
        reached[True] += 1
        load_everywhere(checked.pem, pem_of(KEY), tmp_path)

    assert min(reached.values()) > 15, reached


def issued(
    *extensions: tuple[x509.ExtensionType, bool],
    key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey | None = None,
    not_after: datetime = NOW + timedelta(days=1),
) -> tuple[bytes, Expectation]:
    """Return a certificate with ``extensions``, and what is expected of it."""
    signer = ec.generate_private_key(ec.SECP256R1())
    public = key or KEY.public_key()
    name = subject_name({"common_name": "x"})
    builder = x509.CertificateBuilder(name, name, public, 1, NOW, not_after)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    pem = builder.sign(signer, hashes.SHA256()).public_bytes(Encoding.PEM)
    return pem, Expectation(public)  # type: ignore[arg-type] # Ed25519 on purpose


def usage(*, digital_signature: bool) -> x509.KeyUsage:
    no = dict.fromkeys(
        [
            "content_commitment",
            "data_encipherment",
            "key_cert_sign",
            "crl_sign",
            "encipher_only",
            "decipher_only",
        ],
        False,
    )
    return x509.KeyUsage(
        digital_signature=digital_signature, key_encipherment=True, key_agreement=False, **no
    )


NOT_CA: Final = x509.BasicConstraints(ca=False, path_length=None)
CLIENT: Final = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
ANY: Final = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])
SERVER: Final = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
UNKNOWN: Final = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")


@pytest.mark.parametrize(
    "extensions",
    [
        (),
        ((NOT_CA, True), (usage(digital_signature=True), True)),  # as AWS's own
        ((CLIENT, False),),
        ((ANY, True),),
        ((UNKNOWN, False),),
    ],
    ids=repr,
)
def test_extensions_that_a_client_may_have(
    extensions: tuple[tuple[x509.ExtensionType, bool], ...],
) -> None:
    pem, expected = issued(*extensions)

    assert check_certificate(pem, expected).pem == pem


@pytest.mark.parametrize(
    ("extension", "problem"),
    [
        (x509.BasicConstraints(ca=True, path_length=None), "certificate authority"),
        (usage(digital_signature=False), "without digitalSignature"),
        (SERVER, "without clientAuth"),
        (UNKNOWN, "1.2.3.4"),
    ],
    ids=repr,
)
def test_extensions_that_forbid_it(extension: x509.ExtensionType, problem: str) -> None:
    pem, expected = issued((extension, True))

    with pytest.raises(CertificateUnacceptableError, match=problem):
        check_certificate(pem, expected)


def test_a_signature_that_proves_nothing() -> None:
    der = base64.b64decode(BODY)
    sha256 = bytes.fromhex("2a8648ce3d040302")
    pem = BEGIN + base64.b64encode(der.replace(sha256, sha256[:-1] + b"\x01")) + b"\n" + END

    with pytest.raises(CertificateUnacceptableError, match="TLS does not accept"):
        check_certificate(pem, EXPECTED)


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        (ec.generate_private_key(ec.SECP256K1()), "secp256k1"),
        (ed25519.Ed25519PrivateKey.generate(), "neither EC nor RSA"),
        (rsa.generate_private_key(65537, 1024), "1024 bits"),  # noqa: S505 - to be refused
    ],
    ids=["curve", "type", "size"],
)
def test_a_key_that_tls_does_not_share_with_aws(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey, problem: str
) -> None:
    pem, expected = issued(key=key.public_key())

    with pytest.raises(CertificateUnacceptableError, match=problem):
        check_certificate(pem, expected)


def test_a_certificate_that_is_longer_than_any() -> None:
    names = x509.SubjectAlternativeName([x509.DNSName("x" * 60 + str(n)) for n in range(120)])
    pem, expected = issued((names, False))
    assert len(pem) > MAX_CERTIFICATE_BYTES

    with pytest.raises(CertificateUnacceptableError, match="at most 8192"):
        check_certificate(pem, expected)


def test_a_certificate_that_is_valid_for_a_moment_only() -> None:
    pem, expected = issued(not_after=NOW)

    with pytest.raises(CertificateUnacceptableError, match="ends before it begins"):
        check_certificate(pem, expected)


# Chains, as the station installs them.


def test_a_chain_is_written_anew(tmp_path: Path) -> None:
    chain = b"leaf:\r\n" + PEM.replace(b"\n", b"\r\n") + b"issuer:\n" + AUTHORITY.certificate_pem

    checked = check_chain(chain, EXPECTED)

    assert checked.pem == PEM + AUTHORITY.certificate_pem == canonical_chain(chain)
    load_everywhere(checked.pem, pem_of(KEY), tmp_path)


@pytest.mark.parametrize(
    ("chain", "problem"),
    [
        (PEM + pem_of(KEY), "found 0"),
        (PEM + X509_LABEL, "found 0"),
        (PEM + DeviceAuthority("another").certificate_pem, "the chain is broken"),
        (PEM * 5, "1 to 4"),
        (b"", "1 to 4"),
        (AUTHORITY.certificate_pem + PEM, "another key"),
    ],
)
def test_a_chain_that_is_refused(chain: bytes, problem: str) -> None:
    with pytest.raises(CertificateUnacceptableError, match=problem):
        check_chain(chain, EXPECTED)


# Private keys, as AWS sends them and trusted users hand them over.

CERTIFICATE: Final = parse_certificate(PEM)
SEC1: Final = KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
LOCKED: Final = KEY.private_bytes(
    Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
)


@pytest.mark.parametrize("pem", [pem_of(KEY), SEC1, b"text\r\n" + SEC1 + PEM])
def test_a_key_is_written_anew(pem: bytes, tmp_path: Path) -> None:
    canonical = canonical_private_key(pem, CERTIFICATE)

    assert canonical == pem_of(KEY)
    load_everywhere(PEM, canonical, tmp_path)


@pytest.mark.parametrize(
    ("pem", "problem"),
    [
        (pem_of(new_key()), "does not belong"),
        (pem_of(ed25519.Ed25519PrivateKey.generate()), "neither EC nor RSA"),
        (LOCKED, "not an unencrypted PEM"),
        (PEM, "not an unencrypted PEM"),
        (b"\0\xff", "not an unencrypted PEM"),
    ],
)
def test_a_key_that_is_refused(pem: bytes, problem: str) -> None:
    with pytest.raises(CertificateUnacceptableError, match=problem):
        canonical_private_key(pem, CERTIFICATE)


# Trust anchors.

ROOT: Final = AUTHORITY.certificate_pem


@pytest.mark.parametrize(
    "pem",
    [
        ROOT,
        ROOT.replace(b"\n", b"\r\n"),
        b"# remark\n" + ROOT + b"\xff\0",
        pem_of(KEY) + ROOT + pem_of(KEY),
    ],
)
def test_anchors_are_written_anew(pem: bytes) -> None:
    assert canonical_trust_anchors(pem) == ROOT
    trust_everywhere(canonical_trust_anchors(pem))


def test_amazons_roots_are_taken_as_they_are() -> None:
    files = sorted((Path(__file__).parents[2] / "certs").glob("*.pem"))
    bundle = b"".join(file.read_bytes() for file in files)

    trust_everywhere(canonical_trust_anchors(bundle))


@pytest.mark.parametrize(
    ("pem", "problem"),
    [
        (b"", "is empty"),
        (pem_of(KEY), "no PEM certificate"),
        (ROOT + TRUSTED_LABEL, r"certificate 2 of 2 \(line \d+\) is truncated, or its label"),
        (ROOT + ROOT[:-30], "certificate 2 of 2 .* is truncated"),
        (ROOT + BEGIN + b"AAAA\n" + END, "certificate 2 of 2"),
        (ROOT + BEGIN + b"A\xc3\n" + END, "certificate 2 of 2"),
        (REFUSED["bytes behind the DER"], "certificate 1 of 1 .*: other bytes follow it"),
        (ROOT * (1 + MAX_BUNDLE_BYTES // len(ROOT)), "at most"),
    ],
    ids=("nothing", "a key", "another label", "cut", "no DER", "not ASCII", "more DER", "too much"),
)
def test_anchors_that_are_refused(pem: bytes, problem: str) -> None:
    with pytest.raises(CertificateUnacceptableError, match=problem):
        canonical_trust_anchors(pem)
