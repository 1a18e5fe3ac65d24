"""What the log of the wire tells of a packet: names, topics, codes and sizes, never a content."""

import asyncio
from itertools import pairwise
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.seam import Seam
from localcloud.wire.log import CLOUD, DEVICE, WireLog, listen
from localcloud.wire.mqtt_packets import Packet, PacketDescriber, PacketReader

CONNECT_5 = bytes.fromhex("10 11 0004 4d515454 05 02 003c 00 0004 534e2d31")
CONNECT_3 = bytes.fromhex("10 10 0004 4d515454 04 02 003c 0004 534e2d31")
CONNACK = bytes.fromhex("20 03 00 87 00")
SUBSCRIBE = bytes.fromhex("82 0b 0001 00 0001 61 00 0001 62 01")
SUBACK = bytes.fromhex("90 05 0001 00 00 87")
PUBLISH = bytes.fromhex("32 13 0004 64742f31 0001 00") + b'{"key": 1}'
PUBACK = bytes.fromhex("40 03 0001 10")
DISCONNECT = bytes.fromhex("e0 01 87")


def read(data: bytes) -> list[Packet]:
    return list(PacketReader().feed(data))


def described(*packets: bytes) -> list[dict[str, object]]:
    describer = PacketDescriber()
    return [dict(describer.describe(packet)) for packet in read(b"".join(packets))]


@pytest.mark.parametrize(
    ("packet", "told"),
    [
        (CONNECT_5, {"packet": "CONNECT", "version": 5, "client_id": "SN-1"}),
        (CONNECT_3, {"packet": "CONNECT", "version": 4, "client_id": "SN-1"}),
        (CONNACK, {"packet": "CONNACK", "reason_codes": [0x87]}),
        (SUBSCRIBE, {"packet": "SUBSCRIBE", "topics": ["a", "b"]}),
        (SUBACK, {"packet": "SUBACK", "reason_codes": [0, 0x87]}),
        (PUBLISH, {"packet": "PUBLISH", "topics": ["dt/1"], "qos": 1, "fields": ["key"]}),
        (PUBACK, {"packet": "PUBACK", "reason_codes": [0x10]}),
        (PUBACK[:1] + b"\x02\x00\x01", {"packet": "PUBACK", "reason_codes": [0]}),
        (DISCONNECT, {"packet": "DISCONNECT", "reason_codes": [0x87]}),
        (b"\xe0\x00", {"packet": "DISCONNECT", "reason_codes": [0]}),
        (b"\xc0\x00", {"packet": "PINGREQ"}),
        (b"\xf0\x00", {"packet": "type 15"}),
        (b"\x10\x01\x00", {"packet": "CONNECT, malformed"}),
    ],
)
def test_a_packet_is_told(packet: bytes, told: dict[str, object]) -> None:
    assert described(packet) == [{**told, "bytes": len(packet)}]


def test_the_version_of_connect_is_that_of_what_follows() -> None:
    without_properties = bytes.fromhex("82 06 0001 0001 61 00")
    assert described(CONNECT_3, without_properties)[1]["topics"] == ["a"]


@given(cuts=st.sets(st.integers(0, len(CONNECT_5 + SUBSCRIBE + PUBLISH))))
def test_packets_are_the_same_however_they_arrive(cuts: set[int]) -> None:
    stream = CONNECT_5 + SUBSCRIBE + PUBLISH
    reader, places = PacketReader(), [0, *sorted(cuts), len(stream)]
    parts = [stream[a:b] for a, b in pairwise(places)]
    assert [packet for part in parts for packet in reader.feed(part)] == read(stream)


@given(data=st.binary())
def test_any_bytes_are_told_or_left_out(data: bytes) -> None:
    assert all("packet" in told for told in described(data))


def test_a_connection_is_told_from_its_opening_to_who_closed_it() -> None:
    tls = SimpleNamespace(getpeercert=lambda **_: b"der", version=lambda: "TLSv1.3")
    log = conversation(tls, heard=[CONNECT_5, b""], said=[CONNACK])
    assert [(event["by"], event.get("event") or event["packet"]) for event in log.listed()] == [
        (DEVICE, "opened"),
        (DEVICE, "CONNECT"),
        (CLOUD, "CONNACK"),
        (DEVICE, "closed"),
    ]
    opened = log.listed()[0]
    assert opened["server_name"] is None
    assert len(str(opened["certificate_id"])) == 64
    assert {event["connection"] for event in log.listed()} == {1}


def test_who_shows_no_certificate_is_told_too() -> None:
    tls = SimpleNamespace(getpeercert=lambda **_: None, version=lambda: "TLSv1.3")
    log = conversation(tls, heard=[CONNECT_5], said=[])
    assert log.listed()[0]["certificate_id"] is None
    assert (log.listed()[-1]["by"], log.listed()[-1]["event"]) == (CLOUD, "closed")


def test_it_is_forgotten_on_demand() -> None:
    log = WireLog(lambda: 0.0)
    log.connection()(DEVICE, event="opened")
    log.forget()
    assert log.listed() == []


class Stream:
    """A TLS connection, to both of whose ends the broker's code talks."""

    def __init__(self, tls: object, heard: list[bytes]) -> None:
        self.tls = tls
        self.heard = heard
        self.said = b""
        self.is_closed = False

    async def read(self, _size: int) -> bytes:
        return self.heard.pop(0)

    def write(self, data: bytes) -> None:
        self.said += data

    def close(self) -> None:
        self.is_closed = True

    def get_extra_info(self, name: str) -> object:
        return {"ssl_object": self.tls}[name]


def conversation(
    tls: object, heard: list[bytes], said: list[bytes], *, keeps_contents: bool = False
) -> WireLog:
    """Let a broker read all of ``heard``, say the first packets of ``said``, and close."""
    stream, answers = Stream(tls, [*heard]), [*said]

    async def serve(reader: Stream, writer: Stream) -> None:
        for _ in heard:
            await reader.read(4096)
            if answers:
                writer.write(answers.pop(0))
        writer.close()

    broker = SimpleNamespace(
        _mtls_serve_conn=serve,
        _mtls_refuse=lambda *_: None,
        _mtls_auto_register=lambda *_: None,
        _WSSession=type("Session", (), {"_policy_allows": lambda *_: True}),
        _mtls_server_names=SimpleNamespace(get=lambda _tls: None),
    )
    log = WireLog(keeps_contents=lambda: keeps_contents)
    listen(Seam(broker), log)
    asyncio.run(broker._mtls_serve_conn(stream, stream))
    assert (stream.said, stream.is_closed) == (b"".join(said), True)
    return log


def test_contents_are_kept_only_if_that_is_asked_for() -> None:
    tls = SimpleNamespace(getpeercert=lambda **_: None, version=lambda: "TLSv1.3")
    for keeps_contents, kept in ((False, []), (True, [PUBLISH.hex(), PUBACK.hex()])):
        log = conversation(tls, [PUBLISH], [PUBACK], keeps_contents=keeps_contents)
        assert [event["hex"] for event in log.listed() if "hex" in event] == kept


def test_the_words_of_a_rejection_are_its_reason_and_no_other_content_is_kept() -> None:
    topic = "$aws/provisioning-templates/t/provision/json/rejected"
    said = b'{"statusCode": 403, "errorCode": "AccessDenied", "errorMessage": "Access Denied"}'
    for place, reason in ((topic, "403 AccessDenied Access Denied"), ("dt/1/rejected", None)):
        name = place.encode()
        body = len(name).to_bytes(2, "big") + name + b"\0" + said
        size = bytes([len(body) % 128 | 128, len(body) // 128])
        (told,) = described(b"\x30" + size + body)
        assert told.get("reason") == reason
