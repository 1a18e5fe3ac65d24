"""The parts of the gap modules that need no cloud: what is refused, found, counted."""

import asyncio
import datetime as dt
import json
import ssl
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from localcloud.errors import SETTINGS
from localcloud.gaps import certificate_status, jitp, jitr_client_id
from localcloud.gaps._support.policy_document import policy_error
from localcloud.gaps._support.registration import check_parameters
from localcloud.gaps._support.rest import RefusedError, Request, page
from localcloud.gaps._support.template import grammar_error
from localcloud.gaps.certificate_provider import SigningError, signed_certificate
from localcloud.gaps.job_step_timers import step_minutes
from localcloud.gaps.thing_attributes import attribute_error
from localcloud.seam import Seam
from localcloud.settings import Settings
from tests.support.errors import raises

# --- jobs ----------------------------------------------------------------------------


@pytest.mark.parametrize(("minutes", "asked"), [
    (b"5", 5), (b'"5"', 5), (b"-1", -1), (b"null", None), (b'"x"', None), (b"Infinity", None),
    (b"1" * 5000, None), (b"[" * 100_000, None),
])  # fmt: skip
def test_a_step_timer_is_read_or_left_to_be_rejected(minutes: bytes, asked: int | None) -> None:
    assert step_minutes(b'{"stepTimeoutInMinutes": ' + minutes + b"}") == asked


# --- settings ------------------------------------------------------------------------


def test_a_setting_is_changed_and_the_others_stay() -> None:
    settings = Settings()
    before = settings.listed()
    settings.change(b'{"jitp_seconds": 0.1}')
    assert settings.listed() == {**before, "jitp_seconds": 0.1}


@pytest.mark.parametrize("wrong", ["-1", '"2"', "3601", "null"])
def test_a_value_that_makes_no_sense_changes_nothing(wrong: str) -> None:
    settings = Settings()
    body = f'{{"registration_line_seconds": 9, "jitp_seconds": {wrong}}}'
    with raises(SETTINGS, match="jitp_seconds"):
        settings.change(body.encode())
    assert settings.listed() == Settings().listed()


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"other": 1}'])
def test_what_is_no_setting_is_refused(body: bytes) -> None:
    with raises(SETTINGS):
        Settings().change(body)


# --- pages ---------------------------------------------------------------------------


def asked(**query: str) -> Request:
    return Request({}, query, {})


def test_pages_follow_each_other_to_the_end() -> None:
    items, found = list(range(7)), []
    token: str | None = ""
    while token is not None:
        shown, token = page(asked(maxResults="3", nextToken=token), items)
        found.append(list(shown))
    assert found == [[0, 1, 2], [3, 4, 5], [6]]


@pytest.mark.parametrize("size", ["0", "251", "many", "-1"])
def test_a_page_of_no_size(size: str) -> None:
    with pytest.raises(RefusedError, match="maxResults"):
        page(asked(maxResults=size), [1])


# --- parameters, attributes, grammar -------------------------------------------------


def test_no_parameters_are_none() -> None:
    assert check_parameters(None) == {}


@pytest.mark.parametrize(
    "given", [["a"], {"a": 1}, {"a": None}, {"a": "x" * 4097}, {"x" * 2049: "a"}]
)
def test_parameters_that_aws_would_not_take(given: object) -> None:
    with pytest.raises(RefusedError):
        check_parameters(given)


def test_attributes_at_the_limit() -> None:
    value = "aZ09_.,@/:#=[]-".ljust(800, "x")
    assert attribute_error({"aZ09_.,@/:#-": value, "b": "", "c": "1"}, typed=False) is None
    assert attribute_error({f"n{number}": "1" for number in range(50)}, typed=True) is None


@pytest.mark.parametrize(
    "attributes",
    [{"a": "x" * 801}, {"n" * 129: "a"}, {"": "a"}, {"a=": "a"}, {"a": "é"}, {"a": 1}, ["a"]],
)
def test_attributes_past_it(attributes: object) -> None:
    assert attribute_error(attributes, typed=True)


def test_more_attributes_than_a_thing_may_have() -> None:
    assert "at most 3" in str(attribute_error(dict.fromkeys("abcd", "1"), typed=False))
    many = {f"n{number}": "1" for number in range(51)}
    assert "at most 50" in str(attribute_error(many, typed=True))


def test_a_body_of_nothing_breaks_no_rule() -> None:
    assert grammar_error({}) is None
    assert grammar_error({"Mappings": None}) is None


def thing(**parts: object) -> dict[str, Any]:
    return {"Resources": {"t": {"Type": "AWS::IoT::Thing", "Properties": {}, **parts}}}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"Resources": {"odd": 1}}, "Resource odd must be an object"),
        ({"Parameters": []}, "Parameters must be an object"),
        ({"DeviceConfiguration": "text"}, "DeviceConfiguration must be an object"),
        ({"DeviceConfiguration": {"interval": 60}}, "interval must be a string"),
        ({"DeviceConfiguration": {"on": True}}, "on must be a string"),
        ({"DeviceConfiguration": {"none": None}}, "none must be a string"),
        (thing(OverrideSettings="REPLACE"), "OverrideSettings of resource t must be an object"),
        (thing(Properties=[]), "Properties of resource t must be an object"),
    ],
    ids=str,
)
def test_a_part_of_the_wrong_kind_is_named(body: dict[str, Any], reason: str) -> None:
    assert reason in (grammar_error(body) or "")


# --- the client id in CONNECT --------------------------------------------------------


def connect(level: int, client_id: bytes, properties: bytes = b"") -> bytes:
    body = b"\x00\x04MQTT" + bytes([level, 2, 0, 60]) + properties
    body += len(client_id).to_bytes(2, "big") + client_id
    return b"\x10" + bytes([len(body)]) + body


@pytest.mark.parametrize(
    ("packet", "client_id"),
    [
        (connect(4, b"SN-1"), "SN-1"),
        (connect(5, b"SN-2", b"\x05\x11\x00\x00\x00\x0a"), "SN-2"),
        (connect(4, b""), None),
        (connect(4, b"SN-1")[:-2], None),
        (connect(4, b"\xff\xfe"), None),
        (connect(5, b"SN-2", b"\x7f"), None),
    ],
    ids=["3.1.1", "5", "none", "cut", "not-utf-8", "properties-past-the-end"],
)
def test_the_client_id_is_found(packet: bytes, client_id: str | None) -> None:
    assert jitr_client_id._client_id(packet) == client_id


# --- certificates that are gone ------------------------------------------------------


class Registry(dict[str, Any]):
    """Certificates of one scope."""

    def get_scoped(self, _account: str, _region: str, certificate_id: str) -> Any:
        return self.get(certificate_id)


def test_a_certificate_that_was_deleted_is_not_provisioned() -> None:
    asyncio.run(
        jitp._provision(Seam(SimpleNamespace(_certificates=Registry())), "gone", Settings())
    )


@pytest.mark.parametrize("status", ["ACTIVE", "INACTIVE"])
def test_a_certificate_that_was_touched_meanwhile_is_left_alone(status: str) -> None:
    record = {"status": status, "caCertificateId": "ca", "localcloudProvisioningDue": 1.0}
    certificates = Registry(leaf=record)
    config = {"registrationConfig": {"templateName": "t"}}
    cloud = SimpleNamespace(_certificates=certificates, _ca_certificates={"ca": config})
    asyncio.run(jitp._provision(Seam(cloud), "leaf", Settings()))
    assert certificates["leaf"] == {"status": status, "caCertificateId": "ca"}


def test_a_certificate_that_is_active_again_keeps_its_connections() -> None:
    closed: list[object] = []

    async def close(end: object) -> None:
        closed.append(end)

    session = SimpleNamespace(certificate_id="leaf", close=close)
    clients = {("1", "r", "device"): session, ("2", "r", "device"): session}
    certificates = Registry(leaf={"status": "ACTIVE"})
    cloud = Seam(SimpleNamespace(_certificates=certificates, _connected_clients=clients))
    asyncio.run(certificate_status._disconnect(cloud, ("1", "r"), "leaf", 0))
    assert closed == []
    certificates["leaf"]["status"] = "INACTIVE"
    asyncio.run(certificate_status._disconnect(cloud, ("1", "r"), "leaf", 0))
    assert len(closed) == 1, "in its own account only"


def test_settings_are_told_as_json() -> None:
    assert json.loads(json.dumps(Settings().listed()))["jitp_seconds"] == 2.0


# --- policies ------------------------------------------------------------------------

STATEMENT: dict[str, object] = {"Effect": "Allow", "Action": "iot:Connect", "Resource": "*"}


def policy(*statements: object, **members: object) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements), **members})


@pytest.mark.parametrize(
    "document",
    [
        policy(STATEMENT),
        policy(Statement=STATEMENT),
        json.dumps({"Statement": [STATEMENT]}),
        policy({"Effect": "Deny", "NotAction": ["iot:Connect"], "NotResource": ["*"], "Sid": "x"}),
        policy({**STATEMENT, "Condition": {"Bool": {"iot:Connection.Thing.IsAttached": "true"}}}),
        policy({**STATEMENT, "Action": "iot:Whatever"}, Id="x"),
        policy({**STATEMENT, "Resource": "x" * 1_900}) + " " * 9_000,
    ],
)
def test_what_is_a_policy(document: str) -> None:
    assert policy_error(document) is None


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ("{", "JSON"),
        ("[" * 100_000, "JSON"),
        ('"x"', "object"),
        ("[]", "object"),
        ("{}", "A Statement"),
        (policy(), "must have a Statement"),
        (policy("x"), "A Statement"),
        (policy(STATEMENT, Version=20121017), "Version"),
        (policy(STATEMENT, Version="2012-10-18"), "Version"),
        (policy(STATEMENT, version="2012-10-17"), "element version"),
        (policy({**STATEMENT, "Efect": "Allow"}), "element Efect"),
        (policy({**STATEMENT, "Principal": "*"}), "element Principal"),
        (policy({**STATEMENT, "Effect": "allow"}), "Effect"),
        (policy({**STATEMENT, "Effect": ["Allow"]}), "Effect"),
        (policy({"Effect": "Allow", "Action": "iot:Connect"}), "Resource"),
        (policy({**STATEMENT, "Resource": []}), "Resource"),
        (policy({**STATEMENT, "Resource": [1]}), "Resource"),
        (policy({**STATEMENT, "Action": {"a": "b"}}), "Action"),
        (policy({**STATEMENT, "Action": ""}), "Action"),
        (policy({**STATEMENT, "Condition": "x"}), "Condition"),
        (policy({**STATEMENT, "Condition": {"Bool": "x"}}), "Condition"),
        (policy({**STATEMENT, "Resource": "x" * 2_048}), "2048"),
    ],
)
def test_what_is_no_policy(document: str, problem: str) -> None:
    assert problem in str(policy_error(document))


def test_a_certificate_with_a_key_that_cannot_be_read_is_the_providers_fault() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now)
        .sign(key, hashes.SHA256())
    )
    p256, unknown = b"\x2a\x86\x48\xce\x3d\x03\x01\x07", b"\x2a\x86\x48\xce\x3d\x03\x01\x06"
    der = certificate.public_bytes(serialization.Encoding.DER).replace(p256, unknown)
    pem = ssl.DER_cert_to_PEM_cert(der)
    with pytest.raises(SigningError, match="cannot be read"):
        signed_certificate({"certificatePem": pem}, csr)
