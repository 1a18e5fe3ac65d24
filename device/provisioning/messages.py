"""Payloads of the fleet provisioning API: bytes in, typed event out, and back.

Whatever the cloud sends ends as an event: a reply that is not what the developer guide
describes is `ReplyMalformed` and names the field, never an exception.
Source: AWS IoT Core Developer Guide, "Device provisioning MQTT API".
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from device.errors.text import foreign
from device.provisioning import limits, topics
from device.provisioning.events import (
    CertificateIssued,
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
from device.provisioning.topics import Operation

MAX_REPLY_BYTES: Final = 131_072  # AWS IoT's own limit for a payload (128 KiB)
THING_NAME: Final = limits.THING_NAME
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are not the JSON that was wanted; two of them it does not
document: text that is not UTF-8, and JSON that is nested too deep."""


class _CertificateReply(msgspec.Struct, rename="camel"):
    certificate_id: limits.CertificateId
    certificate_pem: limits.CertificatePem
    certificate_ownership_token: limits.OwnershipToken
    private_key: limits.PrivateKeyPem | None = None


_CERTIFICATE_REPLY: Final = msgspec.json.Decoder(_CertificateReply)


class _ThingReply(msgspec.Struct, rename="camel"):
    thing_name: limits.ThingName | None = None
    device_configuration: limits.DeviceConfiguration = {}


_THING_REPLY: Final = msgspec.json.Decoder(_ThingReply)


class _RejectedReply(msgspec.Struct, rename="camel"):
    status_code: int
    error_code: str
    error_message: str = ""


_REJECTED_REPLY: Final = msgspec.json.Decoder(_RejectedReply)


def certificate_from_csr_request(csr_pem: str) -> bytes:
    """Return the payload of CreateCertificateFromCsr."""
    return msgspec.json.encode({"certificateSigningRequest": csr_pem})


def keys_and_certificate_request() -> bytes:
    """Return the payload of CreateKeysAndCertificate, which has no fields."""
    return b"{}"


def register_thing_request(ownership_token: str, parameters: Mapping[str, str]) -> bytes:
    """Return the payload of RegisterThing."""
    body = {"certificateOwnershipToken": ownership_token, "parameters": dict(parameters)}
    return msgspec.json.encode(body)


def proof_of_identity(thing_name: str) -> bytes:
    """Return the first message a device sends as itself; its PUBACK is the proof."""
    return msgspec.json.encode({"event": "identity-proven", "thing": thing_name})


def decode(message: MessageReceived) -> Event | None:
    """Return the event that ``message`` stands for, or None when it is not a reply to a request."""
    request_topic, _, answer = message.topic.rpartition("/")
    operation = topics.operation_of(request_topic)
    if operation is None or answer not in {"accepted", "rejected"}:
        return None
    if len(message.payload) > MAX_REPLY_BYTES:
        return ReplyMalformed(operation, f"{len(message.payload)} bytes, AWS sends 131072 at most")
    try:
        if answer == "rejected":
            return _rejection(operation, message.payload)
        return _acceptance(operation, request_topic, message.payload)
    except UNREADABLE as error:
        return ReplyMalformed(operation, foreign(str(error)))


def _acceptance(operation: Operation, request_topic: str, payload: bytes) -> Event:
    if operation is Operation.REGISTER_THING:
        thing = _THING_REPLY.decode(payload)
        if thing.thing_name is None:
            return _without_thing(topics.template_of(request_topic))
        size = len(msgspec.json.encode(thing.device_configuration))
        if size > limits.CONFIGURATION_BYTES:
            problem = f"deviceConfiguration has {size} bytes, at most {limits.CONFIGURATION_BYTES}"
            return ReplyMalformed(operation, f"{problem} are taken")
        return ThingRegistered(thing.thing_name, thing.device_configuration)
    reply = _CERTIFICATE_REPLY.decode(payload)
    keys_expected = operation is Operation.CREATE_KEYS_AND_CERTIFICATE
    if keys_expected is not (reply.private_key is not None):
        problem = (
            "has no privateKey" if keys_expected else "has a privateKey that was not requested"
        )
        return ReplyMalformed(operation, problem)
    return CertificateIssued(
        certificate_id=reply.certificate_id,
        certificate_pem=reply.certificate_pem,
        ownership_token=reply.certificate_ownership_token,
        private_key_pem=reply.private_key,
    )


def _without_thing(template_name: str) -> ReplyMalformed:
    """AWS IoT accepts such a template, registers the certificate, and names no thing."""
    return ReplyMalformed(
        Operation.REGISTER_THING,
        f"it has no thingName: the template {template_name} does not create a thing",
        f"Add a resource of Type AWS::IoT::Thing to the template {template_name}: aws iot "
        f"describe-provisioning-template --template-name {template_name} shows what it has.",
    )


def _rejection(operation: Operation, payload: bytes) -> Rejection:
    reply = _REJECTED_REPLY.decode(payload)
    fields = (operation, reply.status_code, foreign(reply.error_code), foreign(reply.error_message))
    if reply.status_code == 429 or reply.status_code >= 500:
        return RequestThrottled(*fields)
    if reply.status_code == 403:
        return RequestDenied(*fields)
    if "ownershiptoken" in reply.error_code.lower() or "token" in reply.error_message.lower():
        return TokenRefused(*fields)  # AWS does not document how it spells this refusal
    return RequestRefused(*fields)
