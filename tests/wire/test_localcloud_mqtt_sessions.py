"""What a persistent session keeps: unacknowledged messages, also over a restart of the cloud."""

import struct
from typing import Any

import pytest

from localcloud.process.state_folder import StateFolder
from tests.wire.conftest import LocalCloud, free_ports, running
from tests.wire.localcloud_sdk import Credential, add_certificate, policy
from tests.wire.raw_mqtt import PING, PINGRESP, RawMqtt, connected

pytestmark = pytest.mark.wire
ANYTHING = policy(
    ("Connect", ["client/*"]), ("Publish Receive", ["topic/*"]), ("Subscribe", ["topicfilter/*"])
)
HUNDRED_SECONDS = b"\x11" + struct.pack("!I", 100)
PERSISTENT: dict[int, dict[str, Any]] = {
    4: {"clean": False},
    5: {"clean": False, "properties": HUNDRED_SECONDS},
}


@pytest.fixture(scope="module")
def device(local_cloud: LocalCloud) -> Credential:
    return add_certificate(local_cloud, ANYTHING)


@pytest.fixture(params=[4, 5], ids=["3.1.1", "5"])
def version(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def publish(cloud: LocalCloud, credential: Credential, topic: str, *payloads: bytes) -> None:
    with connected(cloud, credential, f"from-{topic}".replace("/", "-")) as sender:
        for payload in payloads:
            sender.published(topic, payload)


def come_back(cloud: LocalCloud, device: Credential, client_id: str, version: int) -> RawMqtt:
    client = RawMqtt(cloud, device, version)
    answer = client.connect(client_id, **PERSISTENT[version])
    assert answer.body[0] == 1, "session present"
    return client


def test_what_was_not_acknowledged_comes_again(
    local_cloud: LocalCloud, device: Credential, version: int
) -> None:
    name, topic = f"unacknowledged-{version}", f"unacknowledged/{version}"
    with connected(local_cloud, device, name, version, **PERSISTENT[version]) as client:
        client.subscribe(topic)
        publish(local_cloud, device, topic, b"one", b"two")
        client.receive()
        client.acknowledge(client.receive())
    with come_back(local_cloud, device, name, version) as client:
        again = client.receive()
        assert again.payload == b"one"
        client.acknowledge(again)
        assert client.nothing_comes()


def test_what_comes_meanwhile_is_kept_in_order(
    local_cloud: LocalCloud, device: Credential, version: int
) -> None:
    name, topic = f"away-{version}", f"away/{version}"
    with connected(local_cloud, device, name, version, **PERSISTENT[version]) as client:
        client.subscribe(topic)
    payloads = [b"%d" % number for number in range(5)]
    publish(local_cloud, device, topic, *payloads)
    with come_back(local_cloud, device, name, version) as client:
        assert [client.receive().payload for _ in payloads] == payloads


def test_a_clean_connection_ends_the_session(local_cloud: LocalCloud, device: Credential) -> None:
    with connected(local_cloud, device, "cleaned", clean=False) as client:
        client.subscribe("cleaned")
    with connected(local_cloud, device, "cleaned", clean=True):
        pass
    with RawMqtt(local_cloud, device) as client:
        assert client.connect("cleaned", clean=False).body[0] == 0


def test_no_more_is_under_way_than_the_client_takes(
    local_cloud: LocalCloud, device: Credential
) -> None:
    receive_maximum = b"\x21\x00\x02"
    with connected(local_cloud, device, "window", 5, properties=receive_maximum) as client:
        client.subscribe("window")
        publish(local_cloud, device, "window", b"1", b"2", b"3")
        first = client.receive()
        assert client.receive().payload == b"2"
        assert client.nothing_comes()
        client.acknowledge(first)
        assert client.receive().payload == b"3"


@pytest.mark.parametrize("kind", [4, 5], ids=["3.1.1", "5"])
def test_a_shared_subscription_gives_each_message_to_one_client(
    local_cloud: LocalCloud, device: Credential, kind: int
) -> None:
    topic, share = f"shared/{kind}", f"$share/group/shared/{kind}"
    with (
        connected(local_cloud, device, f"one-{kind}", kind) as one,
        connected(local_cloud, device, f"other-{kind}", kind) as other,
    ):
        assert one.subscribe(share) == [1] == other.subscribe(share)
        payloads = [b"%d" % number for number in range(30)]
        publish(local_cloud, device, topic, *payloads)
        shares = [all_messages(one), all_messages(other)]
    assert sorted(shares[0] + shares[1]) == sorted(payloads)
    assert all(shares)


def all_messages(client: RawMqtt) -> list[bytes]:
    client.send(PING)
    found = []
    while (packet := client.read()).kind != PINGRESP:
        found.append(client.message(packet).payload)
    return found


def test_a_session_outlives_the_process(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder, ports = StateFolder(tmp_path_factory.mktemp("restarted")), free_ports()
    with running(folder, ports) as cloud:
        device = add_certificate(cloud, ANYTHING)
        with connected(cloud, device, "restarted", clean=False) as client:
            client.subscribe("restarted/+")
            publish(cloud, device, "restarted/now", b"unacknowledged")
            client.receive()
        publish(cloud, device, "restarted/later", b"queued")
    with running(folder, ports) as cloud, come_back(cloud, device, "restarted", 4) as client:
        assert [client.receive().payload for _ in range(2)] == [b"unacknowledged", b"queued"]
        publish(cloud, device, "restarted/again", b"subscribed")
        assert client.receive().payload == b"subscribed"
