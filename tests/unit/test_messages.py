"""Does each documented reply become its event, and each undocumented one `ReplyMalformed`?"""

import json
from typing import Any

import pytest

from device.provisioning import limits, messages, topics
from device.provisioning.events import (
    CertificateIssued,
    Credential,
    Event,
    MessageReceived,
    Rejection,
    ReplyMalformed,
    RequestDenied,
    RequestRefused,
    RequestThrottled,
    ThingRegistered,
    TokenRefused,
)
from device.provisioning.failures import error_of

CSR = topics.CREATE_CERTIFICATE_FROM_CSR
KEYS = topics.CREATE_KEYS_AND_CERTIFICATE
REGISTER = topics.register_thing("T")
CERTIFICATE = {
    "certificateId": "id",
    "certificatePem": "pem",
    "certificateOwnershipToken": "token",
}
THING = {"thingName": "SN-1", "deviceConfiguration": {"greeting": "hello"}}


def accepted(topic: str, document: object) -> Event | None:
    return messages.decode(MessageReceived(f"{topic}/accepted", json.dumps(document).encode()))


def rejected(topic: str, document: object) -> Event | None:
    return messages.decode(MessageReceived(f"{topic}/rejected", json.dumps(document).encode()))


def test_a_certificate_for_a_csr() -> None:
    assert accepted(CSR, CERTIFICATE) == CertificateIssued("id", "pem", "token")


@pytest.mark.parametrize("spoilt", ["$(reboot)", "a;b", "`a`", "--region", "a|b", ""])
def test_an_id_that_would_do_something_in_a_shell_is_malformed(spoilt: str) -> None:
    found = accepted(CSR, CERTIFICATE | {"certificateId": spoilt})

    assert isinstance(found, ReplyMalformed)


def test_a_certificate_with_its_key() -> None:
    event = accepted(KEYS, CERTIFICATE | {"privateKey": "key"})

    assert event == CertificateIssued("id", "pem", "token", "key")


def test_a_thing() -> None:
    assert accepted(REGISTER, THING) == ThingRegistered("SN-1", {"greeting": "hello"})


def test_a_thing_without_configuration() -> None:
    assert accepted(REGISTER, {"thingName": "SN-1"}) == ThingRegistered("SN-1", {})


LIMITS = [
    (KEYS, CERTIFICATE | {"privateKey": "k"}, "certificateId", limits.CERTIFICATE_ID_CHARACTERS),
    (KEYS, CERTIFICATE | {"privateKey": "k"}, "certificatePem", limits.CERTIFICATE_PEM_CHARACTERS),
    (KEYS, CERTIFICATE | {"privateKey": "k"}, "privateKey", limits.PRIVATE_KEY_PEM_CHARACTERS),
    (CSR, CERTIFICATE, "certificateOwnershipToken", limits.TOKEN_CHARACTERS),
    (REGISTER, THING, "thingName", 128),
]


@pytest.mark.parametrize(("topic", "document", "field", "most"), LIMITS)
def test_what_is_stored_is_bounded(
    topic: str, document: dict[str, Any], field: str, most: int
) -> None:
    assert not isinstance(accepted(topic, document | {field: "x" * most}), ReplyMalformed)

    event = accepted(topic, document | {field: "x" * (most + 1)})

    assert isinstance(event, ReplyMalformed)
    assert field in event.problem


@pytest.mark.parametrize(
    ("most", "more"),
    [
        ({"k" * limits.KEY_CHARACTERS: ""}, {"k" * (limits.KEY_CHARACTERS + 1): ""}),
        ({"k": "x" * limits.VALUE_CHARACTERS}, {"k": "x" * (limits.VALUE_CHARACTERS + 1)}),
        (
            {str(n): "" for n in range(limits.CONFIGURATION_ENTRIES)},
            {str(n): "" for n in range(limits.CONFIGURATION_ENTRIES + 1)},
        ),
        (
            {f"{n:03}": "x" * 1014 for n in range(16)},
            {f"{n:03}": "\x01" * 171 for n in range(16)},  # six bytes each as JSON
        ),
    ],
    ids=["key", "value", "entries", "bytes"],
)
def test_a_configuration_is_bounded(most: dict[str, str], more: dict[str, str]) -> None:
    assert accepted(REGISTER, THING | {"deviceConfiguration": most}) == ThingRegistered(
        "SN-1", most
    )

    event = accepted(REGISTER, THING | {"deviceConfiguration": more})

    assert isinstance(event, ReplyMalformed)
    assert "deviceConfiguration" in event.problem


def test_fields_that_aws_may_add_are_ignored() -> None:
    assert accepted(CSR, CERTIFICATE | {"new": [1, {}]}) == CertificateIssued("id", "pem", "token")


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "InvalidParameters", RequestRefused),
        (400, "InvalidCertificateOwnershipToken", TokenRefused),
        (401, "Unauthorized", RequestRefused),
        (403, "AccessDenied", RequestDenied),
        (404, "ResourceNotFound", RequestRefused),
        (429, "ThrottlingException", RequestThrottled),
        (500, "InternalFailure", RequestThrottled),
        (503, "ServiceUnavailable", RequestThrottled),
        (0, "", RequestRefused),
        (-1, "Odd", RequestRefused),
    ],
)
@pytest.mark.parametrize("topic", [CSR, KEYS, REGISTER])
def test_a_rejection_is_classed_by_its_status(
    topic: str, status: int, code: str, kind: type[Rejection]
) -> None:
    document = {"statusCode": status, "errorCode": code, "errorMessage": "as AWS said it"}

    operation = topics.operation_of(topic)

    assert operation is not None
    assert rejected(topic, document) == kind(operation, status, code, "as AWS said it")


def test_a_rejection_without_a_message() -> None:
    event = rejected(REGISTER, {"statusCode": 400, "errorCode": "InvalidTemplate"})

    assert event == RequestRefused("RegisterThing", 400, "InvalidTemplate", "")


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "dt/SN-1/telemetry",
        f"{CSR}/answered",
        CSR,
        f"{CSR}/accepted/more",
        "$aws/things/SN-1/shadow/accepted",
    ],
)
def test_a_message_on_another_topic_is_no_reply(topic: str) -> None:
    assert messages.decode(MessageReceived(topic, b"{}")) is None


def without(document: dict[str, Any], field: str) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != field}


@pytest.mark.parametrize(
    ("topic", "document", "named"),
    [
        *((CSR, without(CERTIFICATE, field), field) for field in CERTIFICATE),
        *((CSR, CERTIFICATE | {field: None}, field) for field in CERTIFICATE),
        *((CSR, CERTIFICATE | {field: ["x"]}, field) for field in CERTIFICATE),
        (CSR, CERTIFICATE | {"privateKey": "key"}, "a privateKey that was not requested"),
        (KEYS, CERTIFICATE, "no privateKey"),
        (KEYS, CERTIFICATE | {"privateKey": 5}, "privateKey"),
        (REGISTER, without(THING, "thingName"), "thingName"),
        (REGISTER, THING | {"thingName": ""}, "thingName"),
        (REGISTER, THING | {"thingName": "a/#"}, "thingName"),
        (REGISTER, THING | {"thingName": "line\n"}, "thingName"),
        (REGISTER, THING | {"thingName": "x" * 129}, "thingName"),
        (REGISTER, THING | {"deviceConfiguration": None}, "deviceConfiguration"),
        (REGISTER, THING | {"deviceConfiguration": {"a": {"b": "c"}}}, "deviceConfiguration"),
        (REGISTER, [], "array"),
        (REGISTER, None, "null"),
    ],
)
def test_an_acceptance_that_is_none_names_the_field(
    topic: str, document: object, named: str
) -> None:
    event = accepted(topic, document)

    assert isinstance(event, ReplyMalformed)
    assert event.operation == topics.operation_of(topic)
    assert named in event.problem


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ({"errorCode": "x"}, "statusCode"),
        ({"statusCode": "400", "errorCode": "x"}, "statusCode"),
        ({"statusCode": 400}, "errorCode"),
        ({"statusCode": 400, "errorCode": "x", "errorMessage": None}, "errorMessage"),
    ],
)
def test_a_rejection_that_is_none_names_the_field(document: object, named: str) -> None:
    event = rejected(REGISTER, document)

    assert isinstance(event, ReplyMalformed)
    assert named in event.problem


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"thingName": "\xed\xa0\x80"}',
        b'{"thingName": "\\ud800 and more"}',
        b'{"a":' + b"[" * 60_000,
        b" " * (messages.MAX_REPLY_BYTES + 1),
    ],
    ids=lambda payload: repr(payload[:20]),
)
@pytest.mark.parametrize("answer", ["accepted", "rejected"])
def test_what_is_no_json(payload: bytes, answer: str) -> None:
    event = messages.decode(MessageReceived(f"{REGISTER}/{answer}", payload))

    assert isinstance(event, ReplyMalformed)


def test_the_longest_reply_that_aws_sends_is_taken() -> None:
    body = json.dumps(THING).encode()
    padded = body + b" " * (messages.MAX_REPLY_BYTES - len(body))

    assert messages.decode(MessageReceived(f"{REGISTER}/accepted", padded)) == accepted(
        REGISTER, THING
    )


def test_the_requests_are_as_documented() -> None:
    csr = messages.certificate_from_csr_request("pem")
    registration = messages.register_thing_request("token", {"SerialNumber": "SN-1"})

    assert json.loads(csr) == {"certificateSigningRequest": "pem"}
    assert json.loads(messages.keys_and_certificate_request()) == {}
    assert json.loads(registration) == {
        "certificateOwnershipToken": "token",
        "parameters": {"SerialNumber": "SN-1"},
    }


def test_no_event_shows_a_secret() -> None:
    reply = CERTIFICATE | {"certificateOwnershipToken": "the-token", "privateKey": "the-key"}
    payload = json.dumps(reply).encode()
    message = MessageReceived(f"{KEYS}/accepted", payload)
    shown = repr(message) + repr(messages.decode(message))

    assert "CertificateIssued" in shown
    assert "the-token" not in shown
    assert "the-key" not in shown


@pytest.mark.parametrize("document", [{}, {"thingName": None}, {"deviceConfiguration": {}}])
def test_a_template_that_makes_no_thing_is_named(document: object) -> None:
    event = accepted(REGISTER, document)

    assert isinstance(event, ReplyMalformed)
    error = error_of(event, "registering the thing", Credential.CLAIM)
    assert str(error).endswith("no thingName: the template T does not create a thing")
    assert "AWS::IoT::Thing to the template T" in error.next_step
