"""One connection: responses without a subscription, silence, wills, CONNACK, limits, protocols."""

import contextlib
import json
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.wire.conftest import LocalCloud
from tests.wire.localcloud_sdk import Credential, add_certificate, policy
from tests.wire.raw_mqtt import CONNACK, DISCONNECT, PUBACK, RawMqtt, Will, connected

pytestmark = pytest.mark.wire
ANYTHING = policy(
    ("Connect", ["client/*"]), ("Publish Receive", ["topic/*"]), ("Subscribe", ["topicfilter/*"])
)
EVENTS = "$aws/events/presence/disconnected/"


@pytest.fixture(scope="module")
def device(local_cloud: LocalCloud) -> Credential:
    return add_certificate(local_cloud, ANYTHING)


@contextlib.contextmanager
def setting(cloud: LocalCloud, **settings: float) -> Iterator[None]:
    before = cloud.admin("GET", "settings")
    cloud.admin("PUT", "settings", settings)
    yield
    cloud.admin("PUT", "settings", {name: before[name] for name in settings})


# --- responses -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("topic", "answer"),
    [
        ("$aws/certificates/create/json", "accepted"),
        ("$aws/certificates/create-from-csr/json", "rejected"),
        ("$aws/things/asker/jobs/get", "accepted"),
        ("$aws/things/asker/jobs/start-next", "accepted"),
        ("$aws/things/asker/jobs/none/get", "rejected"),
    ],
)
@pytest.mark.parametrize("version", [4, 5])
def test_the_requester_is_answered_without_a_subscription(
    local_cloud: LocalCloud, device: Credential, topic: str, answer: str, version: int
) -> None:
    with connected(local_cloud, device, "asker", version) as client:
        client.publish(topic)
        assert client.receive().topic == f"{topic}/{answer}"


def test_a_response_is_nobody_elses(local_cloud: LocalCloud, device: Credential) -> None:
    with (
        connected(local_cloud, device, "listener") as listener,
        connected(local_cloud, device, "asker") as asker,
    ):
        listener.subscribe("$aws/things/asker/jobs/get/accepted")
        asker.publish("$aws/things/asker/jobs/get")
        asker.receive()
        assert listener.nothing_comes()


def test_a_subscriber_is_answered_once(local_cloud: LocalCloud, device: Credential) -> None:
    with connected(local_cloud, device, "asker") as asker:
        asker.subscribe("$aws/things/asker/jobs/get/+")
        asker.publish("$aws/things/asker/jobs/get")
        asker.receive()
        assert asker.nothing_comes()


# --- silence and wills ---------------------------------------------------------------


@pytest.mark.parametrize("version", [4, 5])
def test_a_silent_client_is_gone_after_one_and_a_half_intervals(
    local_cloud: LocalCloud, device: Credential, version: int
) -> None:
    name = f"silent-{version}"
    with (
        setting(local_cloud, least_keep_alive_seconds=1),
        connected(local_cloud, device, "watcher") as watcher,
    ):
        watcher.subscribe(f"{EVENTS}{name}", "wills/silent")
        will = Will("wills/silent")
        with connected(local_cloud, device, name, version, keep_alive=1, will=will) as client:
            if version == 5:
                assert client.expect(DISCONNECT).body[0] == 0x8D
            assert client.is_closed()
        messages = [watcher.receive(), watcher.receive()]
    by_topic = {message.topic: message.payload for message in messages}
    assert by_topic["wills/silent"] == b"lost"
    event = json.loads(by_topic[f"{EVENTS}{name}"])
    assert event["disconnectReason"] == "MQTT_KEEP_ALIVE_TIMEOUT"


def test_a_will_waits_for_its_delay_and_is_dropped_if_the_client_is_back(
    local_cloud: LocalCloud, device: Credential
) -> None:
    hour = b"\x11" + struct.pack("!I", 3600)
    delayed: dict[str, Any] = {
        "will": Will("wills/delayed", delay=1),
        "clean": False,
        "properties": hour,
    }
    with connected(local_cloud, device, "watcher") as watcher:
        watcher.subscribe("wills/delayed")
        with connected(local_cloud, device, "delayed", 5, **delayed):
            pass
        with connected(local_cloud, device, "delayed", 5, clean=False, properties=hour) as back:
            assert watcher.nothing_comes()
            back.send(b"\xe0\x00")
            assert back.is_closed()
        with connected(local_cloud, device, "delayed", 5, **delayed):
            pass
        assert watcher.nothing_comes()
        assert watcher.receive().payload == b"lost"


def test_connack_tells_what_aws_tells(local_cloud: LocalCloud, device: Credential) -> None:
    asked = b"\x11" + struct.pack("!I", 60)
    with RawMqtt(local_cloud, device, 5) as client:
        connack = client.connect("told", keep_alive=0, properties=asked).body[3:]
    for told in (
        b"\x11" + struct.pack("!I", 60),
        b"\x13" + struct.pack("!H", 1200),
        b"\x21" + struct.pack("!H", 100),
        b"\x22" + struct.pack("!H", 8),
        b"\x27" + struct.pack("!I", 149504),
        b"\x2a\x01",
    ):
        assert told in connack


def test_a_topic_alias_stands_for_its_topic(local_cloud: LocalCloud, device: Credential) -> None:
    alias = b"\x23\x00\x01"
    with connected(local_cloud, device, "alias", 5) as client:
        client.subscribe("aliased")
        client.publish("aliased", b"first", properties=alias)
        assert client.receive().payload == b"first"
        client.publish("", b"second", properties=alias)
        message = client.receive()
    assert (message.topic, message.payload) == ("aliased", b"second")


def test_a_deactivated_certificate_is_told_to_an_mqtt_5_client(local_cloud: LocalCloud) -> None:
    credential = add_certificate(local_cloud, ANYTHING)
    with (
        setting(local_cloud, disconnect_seconds=0),
        connected(local_cloud, credential, "deactivated", 5) as client,
    ):
        local_cloud.client("iot").update_certificate(
            certificateId=credential.certificate_id, newStatus="INACTIVE"
        )
        assert client.expect(DISCONNECT).body[0] == 0x87
        assert client.is_closed()


# --- limits --------------------------------------------------------------------------

TOO_MUCH = {
    "payload": ("limits/a", bytes(128 * 1024 + 1)),
    "depth": ("1/2/3/4/5/6/7/8/9", b"{}"),
    "length": ("a" * 257, b"{}"),
}


@pytest.mark.parametrize("what", TOO_MUCH)
@pytest.mark.parametrize("version", [4, 5])
def test_a_publish_beyond_a_limit_ends_the_connection(
    local_cloud: LocalCloud, device: Credential, what: str, version: int
) -> None:
    with connected(local_cloud, device, "limits", version) as client:
        client.publish(*TOO_MUCH[what])
        if version == 5:
            assert client.read().kind == DISCONNECT
        assert client.is_closed()


def test_a_publish_at_the_limit_is_acknowledged(
    local_cloud: LocalCloud, device: Credential
) -> None:
    with connected(local_cloud, device, "limits", 5) as client:
        assert client.published("1/2/3/4/5/6/7/8", bytes(128 * 1024)) == 0


def test_a_publish_over_http_has_the_same_limits(local_cloud: LocalCloud) -> None:
    data = local_cloud.client("iot-data")
    data.publish(topic="1/2/3/4/5/6/7/8", payload=bytes(128 * 1024))
    with pytest.raises(ClientError, match="slashes"):
        data.publish(topic="1/2/3/4/5/6/7/8/9")
    with pytest.raises(ClientError, match="bytes"):
        data.publish(topic="a", payload=bytes(128 * 1024 + 1))


def test_nine_filters_in_one_subscribe_end_the_connection(
    local_cloud: LocalCloud, device: Credential
) -> None:
    with connected(local_cloud, device, "limits") as client, pytest.raises(ConnectionError):
        client.subscribe(*[f"many/{number}" for number in range(9)])


@pytest.mark.parametrize(("version", "code"), [(4, 0x80), (5, 0x97)])
def test_the_subscription_after_the_fiftieth_is_refused(
    local_cloud: LocalCloud, device: Credential, version: int, code: int
) -> None:
    with connected(local_cloud, device, "limits", version) as client:
        for start in range(0, 48, 8):
            client.subscribe(*[f"many/{number}" for number in range(start, start + 8)])
        assert client.subscribe("many/48", "many/49", "many/50") == [1, 1, code]
        assert client.is_closed()


def test_a_client_id_of_129_bytes_is_refused(local_cloud: LocalCloud, device: Credential) -> None:
    with RawMqtt(local_cloud, device, 5) as client:
        assert client.connect("x" * 129).body[1] == 0x85
    with RawMqtt(local_cloud, device, 5) as client:
        assert client.connect("x" * 128).body[1] == 0


@pytest.mark.parametrize("zero", [b"\x21\0\0", b"\x27\0\0\0\0"], ids=["messages", "bytes"])
def test_a_client_that_takes_nothing_is_refused(
    local_cloud: LocalCloud, device: Credential, zero: bytes
) -> None:
    with RawMqtt(local_cloud, device, 5) as client:
        assert client.connect("nothing", properties=zero).body[1] == 0x82


def test_a_session_that_is_kept_needs_a_client_id(
    local_cloud: LocalCloud, device: Credential
) -> None:
    with RawMqtt(local_cloud, device) as client, pytest.raises(ConnectionError):
        client.connect("", clean=False)
    with RawMqtt(local_cloud, device) as client:
        assert client.connect("").body[1] == 0


# --- protocols -----------------------------------------------------------------------


def test_alpn_is_selected(local_cloud: LocalCloud, device: Credential) -> None:
    with RawMqtt(local_cloud, device, alpn=("http/1.1", "x-amzn-mqtt-ca")) as client:
        assert client.socket.selected_alpn_protocol() == "x-amzn-mqtt-ca"
        assert client.connect("alpn").kind == CONNACK


def test_another_protocol_is_refused_at_once(local_cloud: LocalCloud, device: Credential) -> None:
    with RawMqtt(local_cloud, device, alpn=("http/1.1",)) as client:
        client.send(b"GET /mqtt HTTP/1.1\r\nUpgrade: websocket\r\n\r\n")
        assert client.is_closed()


@pytest.mark.parametrize("version", [4, 5])
def test_a_packet_that_is_cut_short_ends_the_connection(
    local_cloud: LocalCloud, device: Credential, version: int
) -> None:
    with connected(local_cloud, device, "short", version) as client:
        client.send(b"\x82\x03\x00\x01\x00")
        assert client.is_closed()
    with connected(local_cloud, device, "short", version) as client:
        client.publish("fine")
        assert client.expect(PUBACK).kind == PUBACK
