"""What a device says over bare MQTT, for clients that know no AWS: one request after the other.

A conversation yields what to publish and where the answer comes, is sent the answer, and returns
what it came for. How a client publishes and hears is that client's (`mqtt_clients`).
"""

import json
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from tests.wire.localcloud_sdk import new_csr


@dataclass(frozen=True)
class Ask:
    """A publish of QoS 1, and the topic that its answer comes on."""

    topic: str
    payload: bytes
    answer: str


Conversation = Generator[Ask, bytes, Any]


def _ask(topic: str, document: object) -> Ask:
    return Ask(topic, json.dumps(document).encode(), f"{topic}/accepted")


def echo(topic: str) -> Conversation:
    """Publish to oneself; return what came."""
    return (yield Ask(topic, b'{"t": 21.5}', topic))


def claim(template: str, serial: str) -> Conversation:
    """Be provisioned by claim with a CSR; return the certificate's id and the thing's name."""
    csr, _key = new_csr(serial)
    create = "$aws/certificates/create-from-csr/json"
    made = json.loads((yield _ask(create, {"certificateSigningRequest": csr})))
    wanted = {
        "certificateOwnershipToken": made["certificateOwnershipToken"],
        "parameters": {"SerialNumber": serial},
    }
    register = f"$aws/provisioning-templates/{template}/provision/json"
    registered = json.loads((yield _ask(register, wanted)))
    return made["certificateId"], registered["thingName"]


def shadow(thing: str) -> Conversation:
    """Report a state; return what the shadow says then."""
    topic = f"$aws/things/{thing}/shadow"
    yield _ask(f"{topic}/update", {"state": {"reported": {"on": True}}})
    return json.loads((yield _ask(f"{topic}/get", {})))["state"]["reported"]


def job(thing: str) -> Conversation:
    """Start the next job and do it; return its id."""
    topic = f"$aws/things/{thing}/jobs"
    begun = json.loads((yield _ask(f"{topic}/start-next", {})))["execution"]
    yield _ask(f"{topic}/{begun['jobId']}/update", {"status": "SUCCEEDED"})
    return begun["jobId"]
