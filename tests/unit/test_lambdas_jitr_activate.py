"""The Lambda that decides on just-in-time registered devices: who gets in, and in which order."""

from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from lambdas import jitr_activate
from tests.support.certificates import DeviceAuthority, new_key

ID = "1d" * 32
ARN = f"arn:aws:iot:eu-central-1:123456789012:cert/{ID}"
AUTHORITY = DeviceAuthority("JITR CA")
PEM = AUTHORITY.issue(new_key().public_key(), {"common_name": "SN-1", "country": "DE"}).decode()
EVENT = {"certificateId": ID, "certificateStatus": "PENDING_ACTIVATION", "clientid": "an-impostor"}


class Refusals:
    """The exceptions of a boto3 client."""

    class ResourceAlreadyExistsException(Exception): ...  # noqa: N818 - AWS's name

    class ConditionalCheckFailedException(Exception): ...  # noqa: N818 - AWS's name


class FakeAws:
    """IoT and DynamoDB as one client: a certificate, an allow-list, and what was called."""

    exceptions = Refusals

    def __init__(self) -> None:
        self.status = "PENDING_ACTIVATION"
        self.pem = PEM
        self.allowed: dict[str, str | None] = {"SN-1": None}
        self.things: dict[str, dict[str, str]] = {}
        self.calls: list[str] = []
        self.broken_at = ""

    def describe_certificate(self, *, certificateId: str) -> Any:  # noqa: N803 - AWS's names
        assert certificateId == ID
        found = {"certificatePem": self.pem, "certificateArn": ARN, "status": self.status}
        return {"certificateDescription": found}

    def update_item(self, **request: Any) -> None:
        assert request["TableName"] == "list"
        serial = request["Key"]["SerialNumber"]["S"]
        wanted = request["ExpressionAttributeValues"][":id"]["S"]
        assert "attribute_exists(SerialNumber)" in request["ConditionExpression"]
        assert "CertificateId = :id" in request["ConditionExpression"]
        if serial not in self.allowed or self.allowed[serial] not in {None, wanted}:
            raise Refusals.ConditionalCheckFailedException
        self.allowed[serial] = wanted

    def create_thing(self, *, thingName: str, attributePayload: Any) -> None:  # noqa: N803
        self._call("create_thing")
        if thingName in self.things:
            raise Refusals.ResourceAlreadyExistsException
        self.things[thingName] = attributePayload["attributes"]

    def attach_policy(self, *, policyName: str, target: str) -> None:  # noqa: N803
        assert (policyName, target) == ("a-policy", ARN)
        self._call("attach_policy")

    def attach_thing_principal(
        self,
        *,
        thingName: str,  # noqa: N803
        principal: str,
        thingPrincipalType: str,  # noqa: N803
    ) -> None:
        assert (principal, thingPrincipalType) == (ARN, "EXCLUSIVE_THING")
        assert thingName in self.things
        self._call("attach_thing_principal")

    def update_certificate(self, *, certificateId: str, newStatus: str) -> None:  # noqa: N803
        self._call(newStatus)
        self.status = newStatus

    def _call(self, name: str) -> None:
        if name == self.broken_at:
            raise ClientError({"Error": {"Code": "ThrottlingException"}}, name)
        self.calls.append(name)


WHOLE = ["create_thing", "attach_policy", "attach_thing_principal", "ACTIVE"]


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> FakeAws:
    fake = FakeAws()
    monkeypatch.setattr(boto3, "client", lambda _service: fake)
    for name, value in {"ALLOW_LIST": "list", "THING_POLICY": "a-policy", "MADE_BY": "m"}.items():
        monkeypatch.setenv(name, value)
    return fake


def decide() -> str:
    return jitr_activate.handler(EVENT, None)["decision"]


def test_device_on_the_list_is_activated_last(aws: FakeAws) -> None:
    assert decide() == "activated"
    assert aws.calls == WHOLE
    assert aws.things == {"SN-1": {"ProvisionedBy": "m"}}
    assert aws.allowed == {"SN-1": ID}


def test_device_off_the_list_ends_inactive_and_gets_nothing(aws: FakeAws) -> None:
    aws.allowed.clear()
    assert decide() == "refused"
    assert aws.calls == ["INACTIVE"]
    assert aws.things == {}


def test_second_certificate_of_a_serial_number_is_refused(aws: FakeAws) -> None:
    aws.allowed["SN-1"] = "another certificate"
    assert decide() == "refused"
    assert aws.calls == ["INACTIVE"]


def test_client_id_counts_for_nothing(aws: FakeAws) -> None:
    aws.allowed = {"an-impostor": None}
    assert decide() == "refused"


def test_certificate_that_names_nobody_is_refused(aws: FakeAws) -> None:
    aws.pem = AUTHORITY.issue(new_key().public_key(), {"country": "DE"}).decode()
    aws.allowed[""] = None
    assert decide() == "refused"


@pytest.mark.parametrize("status", ["ACTIVE", "INACTIVE", "REVOKED"])
def test_what_is_decided_stays_so(aws: FakeAws, status: str) -> None:
    aws.status = status
    assert decide() == "nothing to decide"
    assert (aws.calls, aws.status) == ([], status)


@pytest.mark.parametrize("broken_at", WHOLE)
def test_cut_run_is_repeated_whole_by_the_next_attempt(aws: FakeAws, broken_at: str) -> None:
    aws.broken_at = broken_at
    with pytest.raises(ClientError):
        decide()
    assert aws.status == "PENDING_ACTIVATION"
    aws.broken_at, aws.calls = "", []

    assert decide() == "activated"
    assert aws.calls[-3:] == WHOLE[-3:]
    assert list(aws.things) == ["SN-1"]


def test_thing_that_was_there_is_used_as_it_is(aws: FakeAws) -> None:
    aws.things["SN-1"] = {"ProvisionedBy": "someone else"}
    assert decide() == "activated"
    assert aws.things == {"SN-1": {"ProvisionedBy": "someone else"}}


OTHER_NAMES = (NameOID.COUNTRY_NAME, NameOID.ORGANIZATION_NAME, NameOID.SERIAL_NUMBER,
               NameOID.LOCALITY_NAME, NameOID.TITLE)  # fmt: skip
KEYS = [
    ec.generate_private_key(ec.SECP256R1()),
    ec.generate_private_key(ec.SECP521R1()),
    rsa.generate_private_key(65537, 2048),
]
TEXT = st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=60).filter(
    lambda text: len(text.encode()) <= 64
)
PRINTABLE = {NameOID.COUNTRY_NAME: 2, NameOID.SERIAL_NUMBER: 60}
"""Attributes that are PrintableStrings (RFC 5280, appendix A), and how long they may be."""


def attributes(name: x509.ObjectIdentifier) -> st.SearchStrategy[x509.NameAttribute[str]]:
    values = TEXT
    if name in PRINTABLE:
        values = st.text("ABCxyz019 -", min_size=2, max_size=PRINTABLE[name])
    return values.map(lambda value: x509.NameAttribute(name, value))


@given(
    common_name=TEXT,
    before=st.lists(st.sampled_from(OTHER_NAMES).flatmap(attributes), max_size=3),
    after=st.lists(st.sampled_from(OTHER_NAMES).flatmap(attributes), max_size=3),
    key=st.sampled_from(KEYS),
)
def test_common_name_is_found_in_any_certificate(
    common_name: str,
    before: list[x509.NameAttribute[str]],
    after: list[x509.NameAttribute[str]],
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey,
) -> None:
    own = x509.NameAttribute(NameOID.COMMON_NAME, common_name)
    pem = AUTHORITY.issue(key.public_key(), x509.Name([*before, own, *after])).decode()
    assert jitr_activate.common_name(pem) == common_name


def test_common_name_in_two_byte_characters_is_read() -> None:
    own = x509.NameAttribute(NameOID.COMMON_NAME, "SN-1", x509.name._ASN1Type.BMPString)
    pem = AUTHORITY.issue(new_key().public_key(), x509.Name([own])).decode()
    assert jitr_activate.common_name(pem) == "SN-1"


def test_issuers_name_is_not_taken_for_the_devices() -> None:
    pem = AUTHORITY.issue(new_key().public_key(), {"country": "DE"}).decode()
    assert jitr_activate.common_name(pem) == ""


def test_long_certificate_is_read() -> None:
    end = datetime.now(UTC) + timedelta(days=1)
    units = [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "u" * 64) for _ in range(600)]
    own = x509.NameAttribute(NameOID.COMMON_NAME, "SN-1")
    name = x509.Name([*units, own])
    pem = AUTHORITY.issue(new_key().public_key(), name, not_after=end).decode()
    assert jitr_activate.common_name(pem) == "SN-1"
