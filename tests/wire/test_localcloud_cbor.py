"""Fleet provisioning in CBOR, encoded by AWS's own library, as a small device would."""

import json
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from awscrt import mqtt
from awscrt.cbor import AwsCborDecoder, AwsCborEncoder

from tests.support.hang import SECONDS
from tests.wire.conftest import LocalCloud
from tests.wire.localcloud_registry import mark, status_of
from tests.wire.localcloud_sdk import (
    QOS,
    Credential,
    Fleet,
    add_certificate,
    mqtt5_client,
    mqtt311_connection,
    new_csr,
    policy,
    prepare_fleet,
    publish,
)

pytestmark = pytest.mark.wire
CREATE, FROM_CSR = "$aws/certificates/create", "$aws/certificates/create-from-csr"


def encoded(document: object) -> bytes:
    encoder = AwsCborEncoder()
    encoder.write_data_item(document)
    data: bytes = encoder.get_encoded_data()
    return data


def decoded(data: bytes) -> Any:
    decoder = AwsCborDecoder(data)
    document = decoder.pop_next_data_item()
    assert decoder.get_remaining_bytes_len() == 0
    return document


@dataclass
class Requests:
    """A claim's connection: each request gets the one reply that follows it."""

    connection: mqtt.Connection
    reply: "Future[tuple[str, bytes]]"

    def ask(self, topic: str, payload: bytes) -> tuple[str, bytes]:
        """Return the last part of the reply's topic, and its payload."""
        for kind in ("accepted", "rejected"):
            subscribed, _packet = self.connection.subscribe(f"{topic}/{kind}", QOS, self._arrived)
            subscribed.result(SECONDS)
        self.reply = Future()
        self.connection.publish(topic, payload, QOS)[0].result(SECONDS)
        answered, answer = self.reply.result(SECONDS)
        assert answered.rpartition("/")[0] == topic
        return answered.rpartition("/")[2], answer

    def _arrived(self, topic: str, payload: bytes, **_more: object) -> None:
        self.reply.set_result((topic, payload))


@pytest.fixture(scope="module")
def fleet(local_cloud: LocalCloud) -> Fleet:
    """A claim that may use every payload format."""
    made = prepare_fleet(local_cloud)
    below = ["certificates/*", f"provisioning-templates/{made.template}/provision/*"]
    rights = policy(
        ("Connect", ["client/claim-*"]),
        ("Publish Receive", [f"topic/$aws/{topic}" for topic in below]),
        ("Subscribe", [f"topicfilter/$aws/{topic}" for topic in below]),
    )
    return replace(made, claim=add_certificate(local_cloud, rights))


@contextmanager
def claim_session(cloud: LocalCloud, fleet: Fleet) -> Iterator[Requests]:
    with mqtt311_connection(cloud, fleet.claim, mark("claim")) as connection:
        yield Requests(connection, Future())


@pytest.fixture
def requests(local_cloud: LocalCloud, fleet: Fleet) -> Iterator[Requests]:
    with claim_session(local_cloud, fleet) as session:
        yield session


def provision_topic(fleet: Fleet) -> str:
    return f"$aws/provisioning-templates/{fleet.template}/provision/cbor"


def test_a_device_is_provisioned_from_a_csr(
    local_cloud: LocalCloud, fleet: Fleet, requests: Requests
) -> None:
    serial = mark("SN")
    csr, key = new_csr(serial)
    kind, answer = requests.ask(f"{FROM_CSR}/cbor", encoded({"certificateSigningRequest": csr}))
    assert kind == "accepted"
    made = decoded(answer)
    assert set(made) == {"certificateId", "certificatePem", "certificateOwnershipToken"}
    request = {
        "certificateOwnershipToken": made["certificateOwnershipToken"],
        "parameters": {"SerialNumber": serial},
    }
    kind, answer = requests.ask(provision_topic(fleet), encoded(request))
    assert (kind, decoded(answer)) == (
        "accepted",
        {"thingName": serial, "deviceConfiguration": {"interval": "60"}},
    )
    own = Credential(made["certificateId"], made["certificatePem"], key)
    with mqtt5_client(local_cloud, own, serial) as device:
        assert publish(device, f"dt/{serial}/telemetry") == 0


@pytest.mark.parametrize("payload", [b"", encoded({})], ids=["empty", "empty-map"])
def test_keys_made_by_aws(local_cloud: LocalCloud, requests: Requests, payload: bytes) -> None:
    kind, answer = requests.ask(f"{CREATE}/cbor", payload)
    made = decoded(answer)
    assert kind == "accepted"
    assert made["privateKey"].startswith("-----BEGIN RSA PRIVATE KEY-----")
    iot = local_cloud.client("iot")
    assert status_of(iot, made["certificateId"]) == "PENDING_ACTIVATION"


def test_a_rejection_is_cbor_too(fleet: Fleet, requests: Requests) -> None:
    request = {"certificateOwnershipToken": "garbage", "parameters": {}}
    kind, answer = requests.ask(provision_topic(fleet), encoded(request))
    rejected = decoded(answer)
    assert kind == "rejected"
    assert (rejected["statusCode"], rejected["errorCode"]) == (
        400,
        "InvalidCertificateOwnershipToken",
    )


@pytest.mark.parametrize(
    "payload",
    [
        b"\xff",
        b"\xa1",
        b'{"json": 1}',
        encoded("no map"),
        encoded({"certificateSigningRequest": b"bytes"}),
        encoded({}) + b"more",
    ],
    ids=["break", "cut", "json", "no-map", "bytes", "two-items"],
)
def test_what_is_no_message_is_rejected(requests: Requests, payload: bytes) -> None:
    kind, answer = requests.ask(f"{FROM_CSR}/cbor", payload)
    assert (kind, decoded(answer)["errorCode"]) == ("rejected", "InvalidPayload")


def test_json_is_still_answered_in_json(requests: Requests) -> None:
    kind, answer = requests.ask(f"{CREATE}/json", b"{}")
    assert kind == "accepted"
    assert json.loads(answer)["certificateId"]


def test_faults_strike_cbor_as_well(local_cloud: LocalCloud, requests: Requests) -> None:
    local_cloud.fault("reject", operation="create", status_code=429, error_code="Slow")
    kind, answer = requests.ask(f"{CREATE}/cbor", encoded({}))
    assert (kind, decoded(answer)["statusCode"]) == ("rejected", 429)
