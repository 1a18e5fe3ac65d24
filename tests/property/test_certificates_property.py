"""Can any certificate, however bent, raise what no caller expects?"""

import base64
from collections import Counter
from typing import Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import example, given, settings
from hypothesis import strategies as st

from device.errors.provisioning import CertificateUnacceptableError
from device.identity.certificates import (
    Expectation,
    certificate_id,
    check_certificate,
    subject_fields,
    validity,
)
from device.identity.csr import subject_name
from tests.support.certificates import NOW, DeviceAuthority, new_key
from tests.support.effort import examples

pytestmark = pytest.mark.filterwarnings(
    "ignore::cryptography.utils.CryptographyDeprecationWarning"  # of what it will refuse one day
)

AUTHORITY: Final = DeviceAuthority()
KEY: Final = new_key().public_key()
SUBJECT: Final = subject_name({"common_name": "SN-1"})
PEM: Final = AUTHORITY.issue(KEY, SUBJECT)
DER: Final = x509.load_pem_x509_certificate(PEM).public_bytes(Encoding.DER)
EXPECTED: Final = Expectation(
    public_key=KEY, subject=SUBJECT, issuer_pem=AUTHORITY.certificate_pem, now=NOW.timestamp()
)
KEY_ALGORITHM: Final = bytes.fromhex("2a8648ce3d0201")
CURVE: Final = bytes.fromhex("2a8648ce3d030107")


def pem_of(der: bytes) -> bytes:
    body = base64.encodebytes(der)
    return b"-----BEGIN CERTIFICATE-----\n" + body + b"-----END CERTIFICATE-----\n"


def outcome(pem: bytes) -> str:
    """Do all that the device does with a certificate; return how it ended."""
    try:
        check_certificate(pem, EXPECTED)
        certificate_id(pem)
        validity(pem)
        subject_fields(pem)
    except CertificateUnacceptableError as error:
        return str(error).split(";")[0].split(":")[0]
    return "accepted"


def test_a_certificate_with_some_bytes_changed() -> None:
    reached: Counter[str] = Counter()

    @settings(max_examples=examples(300))
    @given(st.lists(st.tuples(st.integers(0, len(DER) - 1), st.integers(0, 255)), max_size=3))
    def explore(changes: list[tuple[int, int]]) -> None:
        bent = bytearray(DER)
        for place, byte in changes:
            bent[place] = byte
        how = outcome(pem_of(bytes(bent)))
        reached[how] += 1
        assert (how == "accepted") is (bytes(bent) == DER), how

    explore()
    assert reached["accepted"] >= 1, reached
    assert reached["not a certificate"] >= 10, reached
    assert reached["the certificate was not issued by the issuer_ca"] >= 10, reached


@given(st.sampled_from([KEY_ALGORITHM, CURVE]), st.integers(0, 255))
@example(KEY_ALGORITHM, 0x63)
@example(CURVE, 0x63)
def test_a_key_of_a_kind_that_nobody_knows(where: bytes, byte: int) -> None:
    assert where in DER

    assert outcome(pem_of(DER.replace(where, where[:-1] + bytes([byte])))) != ""


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    assert outcome(pem_of(data)) == "not a certificate"
    assert outcome(data) != "accepted"
