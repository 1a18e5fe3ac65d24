"""The cloud in memory at one node of the search: it can be copied, and told to lie."""

import copy
import json
from dataclasses import replace

from device.provisioning import actions as act
from device.provisioning import events as ev
from device.provisioning import messages, topics
from tests.support.clock import FakeClock
from tests.support.simulated_cloud import SimulatedCloud

UNKNOWN = "unknown"
LIES = {
    "says 400 token": (400, "InvalidCertificateOwnershipToken"),
    "says 400 unheard of": (400, "NeverHeardOfIt"),
    "says 400 template": (400, "InvalidTemplate"),
    "says 403": (403, "AccessDenied"),
    "says 503": (503, "ServiceUnavailable"),
}
"""What the cloud says to a request that it did not do."""


def copied(cloud: SimulatedCloud) -> SimulatedCloud:
    """Return a cloud of its own with the same registry."""
    twin = copy.copy(cloud)
    twin.clock = FakeClock(cloud.clock.wall())
    twin.clock.advance(cloud.clock.monotonic())
    twin.certificates = {key: replace(each) for key, each in cloud.certificates.items()}
    twin.things, twin.tokens = dict(cloud.things), dict(cloud.tokens)
    twin.everything_issued = {}
    twin._unknown = dict(cloud._unknown)
    twin.renewal, twin.recovery = copy.copy(cloud.renewal), copy.copy(cloud.recovery)
    twin.renewal._cloud = twin.recovery._cloud = twin
    twin.renewal.registered = set(cloud.renewal.registered)
    twin.recovery.audit = []
    return twin


def status(cloud: SimulatedCloud, identifier: str) -> str:
    """Return what the cloud knows of a certificate."""
    known = cloud.certificates.get(identifier)
    return UNKNOWN if known is None else known.status


def answer(cloud: SimulatedCloud, request: act.Request) -> ev.Event:
    """Return the honest reply to ``request``, as the device decodes it."""
    return _decoded(reply(cloud, request))


def refusal(request: act.Request, lie: str) -> ev.Event:
    """Return a refusal that nothing stands behind."""
    return _decoded(refusing(request, lie))


def reply(cloud: SimulatedCloud, request: act.Request) -> ev.MessageReceived:
    """Return the honest reply to ``request``."""
    operation = topics.operation_of(request.topic)
    assert operation is not None
    suffix, document = cloud.answer(operation, request.payload)
    return ev.MessageReceived(f"{request.topic}/{suffix}", json.dumps(document).encode())


def refusing(request: act.Request, lie: str) -> ev.MessageReceived:
    """Return a reply that says what `LIES` has under ``lie``."""
    code, error = LIES[lie]
    return rejected(request, code, error)


def rejected(request: act.Request, code: int, error: str) -> ev.MessageReceived:
    """Return a reply that rejects ``request``."""
    document = {"statusCode": code, "errorCode": error, "errorMessage": "so they say"}
    return ev.MessageReceived(f"{request.topic}/rejected", json.dumps(document).encode())


def _decoded(message: ev.MessageReceived) -> ev.Event:
    event = messages.decode(message)
    assert event is not None
    return event
