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
    return twin


def status(cloud: SimulatedCloud, identifier: str) -> str:
    """Return what the cloud knows of a certificate."""
    known = cloud.certificates.get(identifier)
    return UNKNOWN if known is None else known.status


def answer(cloud: SimulatedCloud, request: act.Request) -> ev.Event:
    """Return the honest reply to ``request``, as the device decodes it."""
    operation = topics.operation_of(request.topic)
    assert operation is not None
    suffix, document = cloud.answer(operation, request.payload)
    return _decoded(request, suffix, document)


def refusal(request: act.Request, lie: str) -> ev.Event:
    """Return a refusal that nothing stands behind."""
    code, error = LIES[lie]
    document = {"statusCode": code, "errorCode": error, "errorMessage": "so they say"}
    return _decoded(request, "rejected", document)


def _decoded(request: act.Request, suffix: str, document: object) -> ev.Event:
    payload = json.dumps(document).encode()
    event = messages.decode(ev.MessageReceived(f"{request.topic}/{suffix}", payload))
    assert event is not None
    return event
