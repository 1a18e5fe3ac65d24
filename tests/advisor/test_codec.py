"""Packets of clients are read whatever the pieces they come in; bytes that are none are refused."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.client_hello import read_client_hello
from advisor.codec import MQTT_5, MQTT_311, Kind, MalformedError, read, take_packets
from tests.advisor.virtual_client import Habits, connect, publish, subscribe

VERSIONS = pytest.mark.parametrize("version", [MQTT_311, MQTT_5])


def packets(version: int) -> list[bytes]:
    habits = Habits(version=version)
    return [
        connect(habits),
        subscribe(habits, 7, ["a/+", "b/#"]),
        publish(habits, "t", b"x" * 300, 9),
        bytes([Kind.PINGREQ << 4, 0]),
        bytes([Kind.DISCONNECT << 4, 0]),
    ]


@VERSIONS
@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=30))
def test_pieces_of_any_size_give_the_same_packets(version: int, sizes: list[int]) -> None:
    data, buffer, found = b"".join(packets(version)), bytearray(), []
    for size in [*sizes, len(data)]:
        buffer += data[:size]
        data = data[size:]
        found += list(take_packets(buffer))
    assert found == packets(version)


@VERSIONS
def test_the_fields_are_read(version: int) -> None:
    hello, asked, sent, ping, bye = (read(raw, version) for raw in packets(version))
    assert (hello.client_id, hello.keep_alive, hello.asks_to_keep_session) == ("advisor", 60, True)
    assert (asked.packet_id, asked.filters) == (7, (("a/+", 1), ("b/#", 1)))
    assert (sent.packet_id, sent.topic, len(sent.payload), sent.qos) == (9, "t", 300, 1)
    assert (ping.kind, bye.kind) == (Kind.PINGREQ, Kind.DISCONNECT)


@VERSIONS
@given(data=st.binary(min_size=2, max_size=60))
def test_other_bytes_are_refused_by_name(version: int, data: bytes) -> None:
    with suppress(MalformedError):
        for raw in take_packets(bytearray(data)):
            read(raw, version)


@given(st.binary(max_size=80))
def test_what_is_no_client_hello_is_refused_by_name(data: bytes) -> None:
    with suppress(MalformedError):
        read_client_hello(b"\x16\x03\x01\x00\x50\x01\x00\x00\x4c" + data)


def test_the_session_expiry_is_found_among_all_properties_of_a_connect() -> None:
    properties = bytes.fromhex("21000a 2700010000 220000 1900 1701 2600016100016215000178")
    properties = properties[:-4] + bytes.fromhex("15000178 160000 11000000ff")
    body = b"\0\4MQTT\5\2\0\x3c" + bytes([len(properties)]) + properties + b"\0\1a"
    hello = read(bytes([0x10, len(body)]) + body, MQTT_5)
    assert (hello.session_expiry, hello.client_id) == (255, "a")


@VERSIONS
def test_an_acknowledgement_and_an_unsubscribe_are_read(version: int) -> None:
    assert read(b"\x40\x02\0\7", version).packet_id == 7
    none = b"\0" if version == MQTT_5 else b""
    body = b"\0\x08" + none + b"\0\1a"
    asked = read(bytes([0xA2, len(body)]) + body, version)
    assert (asked.kind, asked.filters) == (Kind.UNSUBSCRIBE, (("a", 0),))


def test_mqtt_3_1_is_refused_by_name() -> None:
    body = b"\0\6MQIsdp\3\2\0\x3c\0\1a"
    with pytest.raises(MalformedError, match="MQIsdp level 3"):
        read(bytes([0x10, len(body)]) + body, MQTT_311)


def test_a_length_of_five_bytes_is_malformed() -> None:
    with pytest.raises(MalformedError, match="more than four bytes"):
        list(take_packets(bytearray(b"\x30\xff\xff\xff\xff\x7f")))
