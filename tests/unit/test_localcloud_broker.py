"""The broker's parts that need no connection: fields, packets, limits, sessions, who gets what."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from localcloud.broker import codec, limits, packets
from localcloud.broker.broker import Broker
from localcloud.broker.codec import MalformedError, Property, Reader
from localcloud.broker.connection import Connection
from localcloud.broker.provisioning import Asked, request_of
from localcloud.broker.router import Router, matches
from localcloud.broker.session import (
    Key,
    Message,
    Record,
    Session,
    new_record,
    properties_left,
)
from localcloud.gaps.ca_by_signature import first_certificate
from localcloud.settings import Settings

KEY = ("1", "r", "device")
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)


def message(payload: bytes, qos: int = 1) -> Message:
    return Message(
        topic="t", payload=payload, qos=qos, retain=False, properties=b"", received_at=0.0
    )


# --- fields and packets --------------------------------------------------------------


@given(st.integers(0, 268_435_455))
def test_a_length_is_read_as_it_was_written(value: int) -> None:
    assert Reader(codec.varint(value)).varint() == value


@given(TEXT, st.binary(max_size=20), st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=3))
def test_properties_are_read_as_they_were_written(
    text: str, data: bytes, pairs: list[tuple[str, str]]
) -> None:
    values: dict[Property, Any] = {
        Property.CONTENT_TYPE: text,
        Property.CORRELATION_DATA: data,
        Property.MESSAGE_EXPIRY: 70_000,
        Property.TOPIC_ALIAS: 3,
        Property.USER_PROPERTY: pairs,
    }
    assert Reader(codec.properties(values)).properties() == values


@given(st.binary(max_size=60))
def test_any_bytes_are_a_packet_or_malformed(body: bytes) -> None:
    readers: list[Any] = [
        packets.read_connect,
        lambda body: packets.read_publish(2, body, 5),
        lambda body: packets.read_subscribe(body, 5),
        lambda body: packets.read_unsubscribe(body, 5),
        packets.read_puback,
        lambda body: packets.read_disconnect(body, 5),
    ]
    for read in readers:
        try:
            read(body)
        except (MalformedError, packets.VersionError):
            continue


@given(st.lists(st.binary(max_size=300), max_size=4), st.integers(1, 50))
def test_packets_are_cut_wherever_the_bytes_are(bodies: list[bytes], step: int) -> None:
    stream = b"".join(b"\x30" + codec.varint(len(body)) + body for body in bodies)
    buffer, found = bytearray(), []
    for at in range(0, len(stream), step):
        buffer += stream[at : at + step]
        found += [body for _kind, _flags, body in packets.split(buffer)]
    assert found == bodies
    assert not buffer


# --- limits --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "granted"), [(0, 1200), (1, 30), (30, 30), (60, 60), (1200, 1200), (1201, 1200)]
)
def test_a_keep_alive_is_brought_into_awss_range(asked: int, granted: int) -> None:
    assert limits.keep_alive_of(asked, 30) == granted


@pytest.mark.parametrize(
    ("topic", "is_taken"),
    [
        ("1/2/3/4/5/6/7/8", True),
        ("1/2/3/4/5/6/7/8/9", False),
        ("x" * 256, True),
        ("ü" * 129, False),
        ("$aws/rules/name/1/2/3/4/5/6/7/8", True),
        ("$aws/rules/name/1/2/3/4/5/6/7/8/9", False),
        ("$aws/commands/things/t/executions/e/response/accepted/json", True),
        ("", False),
        ("a/+", False),
        ("a/#", False),
    ],
)
def test_topics(topic: str, is_taken: bool) -> None:
    assert (limits.topic_error(topic) is None) is is_taken


@pytest.mark.parametrize(
    ("topic_filter", "is_taken"),
    [
        ("#", True),
        ("+/a/#", True),
        ("a/#/b", False),
        ("a#", False),
        ("a+/b", False),
        ("", False),
        ("$share/group/a/+", True),
        ("$share/group", False),
        ("$share//a", False),
        ("$share/gr+up/a", False),
        ("$share/group/1/2/3/4/5/6/7/8", True),
        ("1/2/3/4/5/6/7/8/#", False),
    ],
)
def test_filters(topic_filter: str, is_taken: bool) -> None:
    assert (limits.filter_error(topic_filter) is None) is is_taken


@pytest.mark.parametrize(
    ("topic_filter", "topic", "does"),
    [
        ("a/b", "a/b", True),
        ("a/+", "a/b", True),
        ("a/+", "a/b/c", False),
        ("a/#", "a/b/c", True),
        ("a/#", "a", False),
        ("#", "$aws/things/t/shadow/update", True),
        ("#", "$aws/events/presence/connected/c", False),
        ("$aws/events/#", "$aws/events/presence/connected/c", True),
    ],
)
def test_matching(topic_filter: str, topic: str, does: bool) -> None:
    assert matches(topic_filter, topic) is does


# --- sessions ------------------------------------------------------------------------


class Disk:
    """What would survive the process."""

    def __init__(self) -> None:
        self.sessions: dict[Key, Record] = {}
        self.messages: dict[tuple[Key, int], Message] = {}

    def keep_session(self, key: Key, record: Record) -> None:
        self.sessions[key] = record

    def forget_session(self, key: Key) -> None:
        self.sessions.pop(key, None)

    def keep_message(self, key: Key, number: int, message: Message) -> None:
        self.messages[key, number] = message

    def forget_message(self, key: Key, number: int) -> None:
        self.messages.pop((key, number), None)


class SessionMachine(RuleBasedStateMachine):
    """Whatever happens to a persistent session, what is not acknowledged is kept, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.disk = Disk()
        self.session = Session(KEY, new_record(60), self.disk)
        self.sent: dict[int, bytes] = {}
        self.waiting: list[bytes] = []
        self.count = 0

    def _new(self) -> Message:
        self.count += 1
        return message(b"%d" % self.count)

    @rule()
    def a_message_is_sent(self) -> None:
        packet_id, new = self.session.send(self._new())
        assert packet_id not in self.sent
        self.sent[packet_id] = new["payload"]

    @rule()
    def a_message_waits(self) -> None:
        new = self._new()
        self.session.put(new)
        self.waiting.append(new["payload"])

    @rule()
    def the_next_is_sent(self) -> None:
        found = self.session.send_next()
        assert (found is None) is (not self.waiting)
        if found:
            packet_id, new = found
            assert new["payload"] == self.waiting.pop(0)
            self.sent[packet_id] = new["payload"]

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def one_is_acknowledged(self, data: st.DataObject) -> None:
        packet_id = data.draw(st.sampled_from(sorted(self.sent)))
        self.session.acknowledge(packet_id)
        del self.sent[packet_id]

    @rule(packet_id=st.integers(60_000, 65_535))
    def something_else_is_acknowledged(self, packet_id: int) -> None:
        self.session.acknowledge(packet_id)

    @invariant()
    def nothing_is_lost(self) -> None:
        assert {pid: one["payload"] for pid, one in self.session.unacknowledged()} == self.sent
        kept = sorted(one["payload"] for one in self.disk.messages.values())
        assert kept == sorted([*self.sent.values(), *self.waiting])


TestSession = SessionMachine.TestCase


def test_a_session_that_ends_leaves_nothing_behind() -> None:
    disk = Disk()
    router = Router(disk, lambda sessions: sessions[0])
    session = router.begin(KEY, 60)
    router.subscribe(session, "t", 1)
    session.put(message(b"1"))
    session.left(0)
    assert disk.sessions
    assert disk.messages
    assert router.find(KEY, 59.9) is session
    assert router.find(KEY, 60) is None
    assert not disk.sessions
    assert not disk.messages


def test_a_session_without_expiry_is_never_saved() -> None:
    disk = Disk()
    session = Router(disk, lambda sessions: sessions[0]).begin(KEY, 0)
    session.subscribe("t", 1)
    session.put(message(b"1"))
    assert not disk.sessions
    assert not disk.messages


def test_an_expiry_that_is_given_up_removes_what_was_saved() -> None:
    disk = Disk()
    session = Router(disk, lambda sessions: sessions[0]).begin(KEY, 60)
    session.subscribe("t", 1)
    session.put(message(b"1"))
    session.set_expiry(0)
    assert not disk.sessions
    assert not disk.messages
    session.set_expiry(60)
    assert len(disk.sessions) == len(disk.messages) == 1


def test_a_shared_message_goes_to_who_is_connected() -> None:
    router = Router(Disk(), lambda sessions: sessions[0])
    here, away = router.begin(("1", "r", "here"), 60), router.begin(("1", "r", "away"), 60)
    for session in (away, here):
        router.subscribe(session, "$share/g/a/+", 1)
    found = list(router.receivers(("1", "r"), "a/b", lambda session: session is here))
    assert found == [(here, 1)]
    router.unsubscribe(here, "$share/g/a/+")
    found = list(router.receivers(("1", "r"), "a/b", lambda session: session is here))
    assert found == [(away, 1)]


def test_another_account_gets_nothing() -> None:
    router = Router(Disk(), lambda sessions: sessions[0])
    router.subscribe(router.begin(KEY, 0), "#", 0)
    assert not list(router.receivers(("2", "r"), "a", lambda _session: True))


def test_an_expiry_interval_is_told_as_what_is_left() -> None:
    block = codec.properties({Property.MESSAGE_EXPIRY: 10})
    assert properties_left(block, 100.0, 100.5) == {Property.MESSAGE_EXPIRY: 9}
    assert properties_left(block, 100.0, 110.0) is None
    assert properties_left(b"", 0, 1e9) == {}


# --- the certificate in a TLS message ------------------------------------------------


@given(st.binary(min_size=1, max_size=300), st.booleans())
def test_the_first_certificate_is_found_in_both_forms(der: bytes, is_13: bool) -> None:
    context, extensions = (b"\x00", b"\x00\x00") if is_13 else (b"", b"")
    entry = len(der).to_bytes(3, "big") + der + extensions
    listed = len(entry).to_bytes(3, "big") + entry
    message = b"\x0b" + len(context + listed).to_bytes(3, "big") + context + listed
    assert first_certificate(message, is_13=is_13) == der


@given(st.binary(max_size=40), st.booleans())
def test_any_message_has_a_certificate_or_none(message: bytes, is_13: bool) -> None:
    assert len(first_certificate(message, is_13=is_13)) <= len(message)


# --- a client that does not read -----------------------------------------------------


class Cloud:
    """The rest of the cloud, which allows everything and notes events."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def __getattr__(self, _name: str) -> Any:
        return lambda *_arguments: None

    def next_version(self, _key: Key) -> int:
        return 0

    def note_disconnected(self, *_arguments: object) -> bool:
        return True

    async def publish_event(self, _place: object, _topic: str, event: Any) -> None:
        self.events.append(event)


def test_who_does_not_read_is_let_go_and_the_publisher_goes_on() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message["type"])
        if len(sent) == 2:  # the CONNACK went out; what follows is never taken
            await asyncio.Event().wait()

    async def hand_on(*_message: object) -> None:
        """Rules, shadows and jobs."""

    async def scenario() -> list[Any]:
        cloud = Cloud()
        rest: Any = cloud
        broker = Broker(rest, Settings(), Disk(), hand_on, stalled_seconds=0.01)
        connection = type("Bound", (Connection,), {"broker": broker})(send, "1", "r")
        await connection.feed(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01x")
        session = broker.router.find(("1", "r", "x"), 0)
        assert session
        broker.router.subscribe(session, "t", 0)
        await broker.publish("1", "r", "t", b"payload")
        return cloud.events

    events = asyncio.run(scenario())
    assert sent == ["websocket.send", "websocket.send", "websocket.close"]
    assert [event["eventType"] for event in events] == ["connected", "disconnected"]


# --- fleet provisioning --------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["json", "cbor"])
@pytest.mark.parametrize(
    ("topic", "operation", "template"),
    [
        ("certificates/create", "create", None),
        ("certificates/create-from-csr", "create-from-csr", None),
        ("provisioning-templates/a-b/provision", "provision", "a-b"),
    ],
)
def test_a_request_is_told_by_its_topic(
    topic: str, operation: str, template: str | None, encoding: str
) -> None:
    asked = request_of(f"$aws/{topic}/{encoding}")
    assert asked == Asked(operation, template, encoding == "cbor")


@pytest.mark.parametrize(
    "topic",
    [
        "$aws/certificates/create",
        "$aws/certificates/create/xml",
        "$aws/certificates/create/json/accepted",
        "$aws/certificates/create-from-csr/json/",
        "$aws/provisioning-templates//provision/json",
        "$aws/provisioning-templates/a/b/provision/json",
        "x$aws/certificates/create/json",
        "",
    ],
)
def test_another_topic_asks_for_nothing(topic: str) -> None:
    assert request_of(topic) is None


@given(st.dictionaries(TEXT, TEXT), st.booleans())
def test_what_is_encoded_is_decoded(document: dict[str, object], is_cbor: bool) -> None:
    asked = Asked("create", None, is_cbor)
    assert json.loads(asked.decoded(asked.encoded(document))) == document


@given(st.binary(max_size=40))
def test_any_bytes_are_decoded_to_json_or_to_nothing(payload: bytes) -> None:
    decoded = Asked("create", None, is_cbor=True).decoded(payload)
    if decoded:
        json.loads(decoded)
