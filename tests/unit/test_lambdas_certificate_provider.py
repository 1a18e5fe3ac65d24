"""The Lambda that signs with the station's own CA: whom it signs for, what, and for how long."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from device.identity.certificates import Expectation, check_certificate
from device.identity.csr import DevicePrivateKey, build_csr, subject_name
from factory.station.authority import Authority, issue_root
from lambdas import certificate_provider
from lambdas.certificate_provider import RefusedError, read_csr

CLAIM = "c1" * 32
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
CA_KEY = ec.generate_private_key(ec.SECP256R1())
ROOT_KEY = ec.generate_private_key(ec.SECP256R1())
ROOT = Authority(issue_root(ROOT_KEY, NOW), ROOT_KEY)
CA = ROOT.issue_authority("Own CA", CA_KEY.public_key(), NOW)
RSA_KEY = rsa.generate_private_key(65537, 2048)
KEYS: dict[str, DevicePrivateKey] = {
    "ec-p256": ec.generate_private_key(ec.SECP256R1()),
    "ec-p384": ec.generate_private_key(ec.SECP384R1()),
    "rsa-2048": RSA_KEY,
}
SUBJECT = subject_name({"organization": "Firstboot", "common_name": "SN-Ä1", "country": "DE"})
CSR = build_csr(KEYS["ec-p256"], SUBJECT)


class FakeKms:
    """A key in KMS that signs what it is given."""

    def sign(self, **request: Any) -> Any:
        assert request["KeyId"] == "arn:of:key"
        assert (request["MessageType"], request["SigningAlgorithm"]) == ("DIGEST", "ECDSA_SHA_256")
        return {"Signature": CA_KEY.sign(request["Message"], ec.ECDSA(Prehashed(hashes.SHA256())))}


class FakeIot:
    """The certificates that AWS IoT has, by id."""

    def __init__(self) -> None:
        self.certificates: dict[str, str] = {}
        self.policies: dict[str, str] = {}
        self.things: dict[str, list[str]] = {}
        self.policies_asked_for: list[str] = []

    class exceptions:  # noqa: N801 - boto3's name
        class ResourceNotFoundException(Exception):  # noqa: N818 - boto3's name
            pass

        class InvalidRequestException(Exception):  # noqa: N818 - boto3's name
            pass

    def describe_certificate(self, *, certificateId: str) -> Any:  # noqa: N803 - boto3's name
        if certificateId not in self.certificates:
            raise self.exceptions.ResourceNotFoundException
        pem = self.certificates[certificateId]
        arn = f"arn:cert/{certificateId}"
        return {"certificateDescription": {"certificatePem": pem, "certificateArn": arn}}

    def list_attached_policies(self, *, target: str) -> Any:
        self.policies_asked_for.append(target)
        name = self.policies.get(target.rpartition("/")[2])
        return {"policies": [{"policyName": name}] if name else []}

    def list_thing_principals(self, *, thingName: str) -> Any:  # noqa: N803 - boto3's name
        if thingName not in self.things:
            raise self.exceptions.ResourceNotFoundException
        return {"principals": [f"arn:cert/{each}" for each in self.things[thingName]]}


@pytest.fixture
def iot() -> FakeIot:
    return FakeIot()


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch, iot: FakeIot) -> None:
    monkeypatch.setattr(boto3, "client", {"kms": FakeKms(), "iot": iot}.__getitem__)
    environment = {
        "KMS_KEY": "arn:of:key",
        "CA_CERTIFICATE": base64.b64encode(CA.public_bytes(Encoding.DER)).decode(),
        "LIFE_HOURS": "36",
        "CLAIMS": f"{'00' * 32},{CLAIM}",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


def signed(
    csr: str = CSR, principal: str = CLAIM, client_id: str = "claim-SN-1"
) -> x509.Certificate:
    event = {"certificateSigningRequest": csr, "principalId": principal, "clientId": client_id}
    answer = certificate_provider.handler(event, None)
    assert answer.keys() == {"certificatePem"}
    return x509.load_pem_x509_certificate(answer["certificatePem"].encode())


@pytest.mark.parametrize("kind", KEYS)
def test_a_device_accepts_what_the_own_ca_signed(kind: str) -> None:
    key = KEYS[kind]
    certificate = signed(build_csr(key, SUBJECT))
    expected = Expectation(
        key.public_key(),
        subject=SUBJECT,
        issuer_pem=CA.public_bytes(Encoding.PEM),
        now=datetime.now(UTC).timestamp(),
    )
    check_certificate(certificate.public_bytes(Encoding.PEM), expected)


def test_subject_and_key_are_those_of_the_request_byte_for_byte() -> None:
    csr, certificate = x509.load_pem_x509_csr(CSR.encode()), signed()
    assert certificate.subject.public_bytes() == csr.subject.public_bytes()
    assert certificate.public_key() == csr.public_key()


def test_it_is_a_certificate_of_a_client_and_of_no_ca() -> None:
    extensions = signed().extensions
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usage = extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert not usage.value.key_cert_sign
    purposes = list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    assert purposes == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_the_key_identifiers_are_those_of_key_and_ca() -> None:
    extensions = signed().extensions
    own = extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    issuer = extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert own == x509.SubjectKeyIdentifier.from_public_key(KEYS["ec-p256"].public_key())
    assert issuer == x509.AuthorityKeyIdentifier.from_issuer_public_key(CA_KEY.public_key())


def test_it_lives_as_long_as_it_was_set() -> None:
    end = signed().not_valid_after_utc
    assert abs(end - datetime.now(UTC) - timedelta(hours=36)) < timedelta(minutes=1)


def test_it_never_outlives_its_ca() -> None:
    authority = certificate_provider.read_authority(CA.public_bytes(Encoding.DER))
    late = authority.not_after - timedelta(hours=1)
    request = read_csr(CSR)
    unsigned = certificate_provider.certificate_to_sign(
        request, authority, late, timedelta(hours=36)
    )
    assert (
        certificate_provider.der(0x17, f"{authority.not_after:%y%m%d%H%M%SZ}".encode()) in unsigned
    )


def test_no_two_have_the_same_serial_number() -> None:
    one, other = signed().serial_number, signed().serial_number
    assert one != other
    assert min(one, other).bit_length() > 64


def test_a_year_after_2049_is_written_in_full() -> None:
    far = certificate_provider._time(datetime(2051, 1, 2, tzinfo=UTC))
    assert far == b"\x18\x0f20510102000000Z"


DEVICE = "de" * 32


def test_a_device_of_the_ca_renews_with_the_same_subject(iot: FakeIot) -> None:
    iot.certificates[DEVICE] = signed().public_bytes(Encoding.PEM).decode()
    key = ec.generate_private_key(ec.SECP256R1())

    renewed = signed(build_csr(key, SUBJECT), DEVICE)

    assert renewed.public_key() == key.public_key()
    assert renewed.subject == SUBJECT


def test_a_device_gets_no_certificate_for_another_subject(iot: FakeIot) -> None:
    iot.certificates[DEVICE] = signed().public_bytes(Encoding.PEM).decode()
    other = build_csr(KEYS["ec-p256"], subject_name({"common_name": "SN-2"}))

    with pytest.raises(RefusedError, match="another subject"):
        signed(other, DEVICE)


def test_a_renewal_asks_for_no_policies_since_aws_iot_waits_five_seconds(iot: FakeIot) -> None:
    iot.certificates[DEVICE] = signed().public_bytes(Encoding.PEM).decode()

    signed(principal=DEVICE)

    assert iot.policies_asked_for == []


def test_a_device_of_another_ca_gets_no_certificate(iot: FakeIot) -> None:
    stranger = ROOT.issue_authority("Another CA", CA_KEY.public_key(), NOW)
    iot.certificates[DEVICE] = stranger.public_bytes(Encoding.PEM).decode()

    with pytest.raises(RefusedError, match="no device of its CA"):
        signed(principal=DEVICE)


BIRTH = "b1" * 32


@pytest.fixture
def born(iot: FakeIot) -> None:
    """A device of the CA, and its birth certificate, which AWS IoT signed."""
    amazon = ROOT.issue_authority("Amazon", CA_KEY.public_key(), NOW)
    iot.certificates |= {
        DEVICE: signed().public_bytes(Encoding.PEM).decode(),
        BIRTH: amazon.public_bytes(Encoding.PEM).decode(),
    }
    iot.policies[BIRTH] = "firstboot-birth"
    iot.things["SN-1"] = [DEVICE]


@pytest.mark.usefixtures("born")
def test_a_device_that_comes_back_gets_a_certificate_with_its_former_subject() -> None:
    assert signed(principal=BIRTH, client_id="recover-SN-1").subject == SUBJECT


@pytest.mark.usefixtures("born")
@pytest.mark.parametrize("client_id", ["recover-SN-2", "claim-SN-1", ""])
def test_a_birth_certificate_is_good_for_its_own_thing_alone(client_id: str) -> None:
    with pytest.raises(RefusedError, match="has no certificate of this CA"):
        signed(principal=BIRTH, client_id=client_id)


@pytest.mark.usefixtures("born")
def test_a_birth_certificate_is_good_for_the_former_subject_alone() -> None:
    other = build_csr(KEYS["ec-p256"], subject_name({"common_name": "SN-2"}))

    with pytest.raises(RefusedError, match="has no certificate of this CA"):
        signed(other, BIRTH, "recover-SN-1")


@pytest.mark.usefixtures("born")
def test_a_certificate_without_the_birth_policy_brings_no_device_back(iot: FakeIot) -> None:
    iot.policies[BIRTH] = "of-someone-else"

    with pytest.raises(RefusedError, match="is no claim of the station"):
        signed(principal=BIRTH, client_id="recover-SN-1")


@pytest.mark.parametrize("principal", ["", "d2" * 32, f"{CLAIM},", "00"])
def test_whoever_is_no_claim_of_the_station_is_refused(principal: str) -> None:
    with pytest.raises(RefusedError, match="is no claim of the station"):
        signed(principal=principal)


def test_a_request_that_another_key_signed_is_refused() -> None:
    request = x509.load_pem_x509_csr(CSR.encode())
    der = bytearray(request.public_bytes(Encoding.DER))
    start = der.index(
        request.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    )
    stranger = (
        ec.generate_private_key(ec.SECP256R1())
        .public_key()
        .public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    )
    der[start : start + len(stranger)] = stranger
    with pytest.raises(RefusedError, match="not signed by its own key"):
        read_csr(as_pem(bytes(der)))


def test_an_rsa_request_that_was_changed_is_refused() -> None:
    csr = x509.load_pem_x509_csr(build_csr(RSA_KEY, SUBJECT).encode())
    changed = csr.public_bytes(Encoding.DER).replace(b"Firstboot", b"Secondbot")
    with pytest.raises(RefusedError, match="not signed by its own key"):
        read_csr(as_pem(changed))


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (rsa.generate_private_key(65537, 1024), "1024 bits"),  # noqa: S505 - the question
        (ec.generate_private_key(ec.SECP256K1()), "must be on P-256"),
        (ec.generate_private_key(ec.SECP521R1()), "must be on P-256"),
        (ed25519.Ed25519PrivateKey.generate(), "cannot be read"),
    ],
    ids=["rsa-1024", "secp256k1", "p-521", "ed25519"],
)
def test_a_key_that_no_device_of_ours_has_is_refused(key: Any, words: str) -> None:
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    csr = x509.CertificateSigningRequestBuilder().subject_name(SUBJECT).sign(key, algorithm)
    with pytest.raises(RefusedError, match=words):
        read_csr(csr.public_bytes(Encoding.PEM).decode())


def test_a_request_that_names_nobody_is_refused() -> None:
    with pytest.raises(RefusedError, match="subject is empty"):
        read_csr(build_csr(KEYS["ec-p256"], x509.Name([])))


@pytest.mark.parametrize("csr", ["", "no CSR", CA.public_bytes(Encoding.PEM).decode()])
def test_what_is_no_request_is_refused(csr: str) -> None:
    with pytest.raises(RefusedError, match="not a certificate signing request"):
        read_csr(csr)


@given(st.data())
def test_a_request_with_one_changed_byte_is_refused_or_the_same(data: st.DataObject) -> None:
    der = bytearray(x509.load_pem_x509_csr(CSR.encode()).public_bytes(Encoding.DER))
    at = data.draw(st.integers(0, len(der) - 1))
    der[at] ^= data.draw(st.integers(1, 255))
    try:
        found = read_csr(as_pem(bytes(der)))
    except RefusedError:
        return
    right = read_csr(CSR)
    assert found == right, "only what carries no meaning may be changed"


def as_pem(der: bytes) -> str:
    body = base64.encodebytes(der).decode()
    return f"-----BEGIN CERTIFICATE REQUEST-----\n{body}-----END CERTIFICATE REQUEST-----\n"
