"""Fleet provisioning over MQTT: which topics ask for it, and how request and reply are encoded.

The last part of the topic selects JSON or CBOR; the keys are the same, in CBOR as text strings in
one map (developer guide, "Device provisioning MQTT API"; docs/aws-iot-facts.md, 2.1 and 2.2).

cbor2 encodes and decodes: it is small, kept, and refuses what is malformed. awscrt has CBOR too,
but is the device's library: so the two ends are two implementations, and test each other.
"""

import json
import re
from dataclasses import dataclass
from io import BytesIO
from typing import Final

import cbor2

CREATE_FROM_CSR: Final = "create-from-csr"
_PROVISION: Final = "provision"
_TOPIC: Final = re.compile(
    r"\$aws/(?:certificates/(?P<create>create(?:-from-csr)?)"
    r"|provisioning-templates/(?P<template>[^/]+)/provision)/(?P<encoding>json|cbor)"
)
_NO_MESSAGE: Final = b""  # as JSON it cannot be parsed either, and is answered so

Reply = tuple[str, dict[str, object]]
"""``accepted`` or ``rejected``, and the document to send."""


@dataclass(frozen=True)
class Asked:
    """A request: ``create``, ``create-from-csr``, or ``provision`` by a template."""

    operation: str
    template: str | None
    is_cbor: bool

    def decoded(self, payload: bytes) -> bytes:
        """Return the request as JSON; nothing if it cannot be decoded."""
        return _as_json(payload) if self.is_cbor else payload

    def encoded(self, document: dict[str, object]) -> bytes:
        """Return a reply as the client reads it."""
        return cbor2.dumps(document) if self.is_cbor else json.dumps(document).encode()


def request_of(topic: str) -> Asked | None:
    """Return what a message to ``topic`` asks for, if it is a request."""
    found = _TOPIC.fullmatch(topic)
    if found is None:
        return None
    return Asked(found["create"] or _PROVISION, found["template"], found["encoding"] == "cbor")


def rejected(code: str, message: str, status: int = 400) -> Reply:
    """Return the reply that refuses a request."""
    return "rejected", {"statusCode": status, "errorCode": code, "errorMessage": message}


def _as_json(payload: bytes) -> bytes:
    stream = BytesIO(payload)
    try:
        document = cbor2.load(stream)
        return _NO_MESSAGE if stream.read() else json.dumps(document).encode()
    except (cbor2.CBORDecodeError, TypeError, ValueError):
        return _NO_MESSAGE
