"""What a client gets when the wire is faulty, without a wire."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.broker import packets as mqtt
from localcloud.faults.board import FaultBoard
from localcloud.faults.kinds import (
    AnyFault,
    Duplicate,
    Flood,
    HalfOpen,
    Reorder,
    Slow,
    Stall,
    WithholdConnack,
)
from localcloud.faults.rude import MOST_PERCENT, Rude
from localcloud.faults.wire import FaultyWire

CONNACK = b"\x20\x02\x00\x00"
PINGRESP = b"\xd0\x00"


def published(topic: str, payload: bytes) -> bytes:
    return mqtt.publish(4, mqtt.Publish(topic, payload, 0, False, 0, {}))


def message(number: int) -> bytes:
    return published("t", str(number).encode())


class Wire:
    """A wire whose time is passed by hand."""

    def __init__(self, *faults: AnyFault, rude: Rude | None = None) -> None:
        board = FaultBoard()
        for fault in faults:
            board.switch_on(fault)
        self.got: list[tuple[float, bytes]] = []
        self._now = 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self.faulty = FaultyWire(board, rude or Rude(), self._write, self._later)

    def _write(self, data: bytes) -> None:
        self.got.append((round(self._now, 6), data))

    def _later(self, seconds: float, what: Callable[[], None]) -> None:
        self._due.append((self._now + seconds, len(self._due), what))

    def send(self, *packets: bytes) -> list[tuple[float, bytes]]:
        """Send now, then let the time pass until nothing is due."""
        for packet in packets:
            self.faulty.send(packet)
        while self._due:
            first = min(self._due)
            self._due.remove(first)
            self._now = first[0]
            first[2]()
        return self.got


def test_without_a_fault_everything_goes_at_once() -> None:
    sent = [CONNACK, message(1), PINGRESP, message(2)]
    assert Wire().send(*sent) == [(0.0, packet) for packet in sent]


def test_a_withheld_connack_is_followed_by_nothing() -> None:
    assert Wire(WithholdConnack()).send(CONNACK, message(1), PINGRESP) == []


def test_a_half_open_connection_is_silent_after_its_packets() -> None:
    sent = Wire(HalfOpen(packets=2)).send(CONNACK, message(1), message(2), PINGRESP)
    assert [packet for _at, packet in sent] == [CONNACK, message(1)]


def test_a_stalled_one_goes_on_later_in_the_same_order() -> None:
    sent = Wire(Stall(seconds=3)).send(CONNACK, message(1), message(2))
    assert sent == [(3.0, CONNACK), (3.0, message(1)), (3.0, message(2))]


def test_a_slow_one_sends_so_many_bytes_a_second() -> None:
    sent = Wire(Slow(bytes_per_second=100)).send(published("t", b"x" * 495))
    assert b"".join(part for _at, part in sent)[-495:] == b"x" * 495
    assert sent[-1][0] == pytest.approx(5.0, abs=0.2)


def test_a_duplicate_comes_twice() -> None:
    sent = Wire(Duplicate(seconds=2)).send(message(1), message(2))
    assert sent == [(0.0, message(1)), (0.0, message(2)), (2.0, message(1))]


def test_a_reordered_one_comes_after_the_next() -> None:
    sent = Wire(Reorder()).send(message(1), message(2), message(3))
    assert [packet for _at, packet in sent] == [message(2), message(1), message(3)]


def test_a_reordered_one_without_a_next_comes_late() -> None:
    assert Wire(Reorder(seconds=4)).send(message(1)) == [(4.0, message(1))]


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16383, 16384, 200_000])
def test_a_flood_comes_once_the_client_is_in(size: int) -> None:
    sent = Wire(Flood(messages=3, bytes=size)).send(CONNACK)
    packets = [packet for _at, packet in sent]
    assert packets == [CONNACK, *[published("flood", bytes(size))] * 3]


def test_another_client_is_spared() -> None:
    wire = Wire(WithholdConnack(client_id="claim-*"))
    wire.faulty.connected(connect("SN-1", 4))
    assert wire.send(CONNACK) == [(0.0, CONNACK)]


def connect(client_id: str, version: int) -> bytes:
    name = client_id.encode()
    body = b"\0\4MQTT" + bytes([version, 2, 0, 60])
    body += b"\5\x11\0\0\0\1" if version == 5 else b""
    body += len(name).to_bytes(2, "big") + name
    assert len(body) < 16384
    length = (
        bytes([len(body)]) if len(body) < 128 else bytes([len(body) & 127 | 128, len(body) >> 7])
    )
    return b"\x10" + length + body


@given(
    client_id=st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=300),
    version=st.sampled_from([4, 5]),
)
def test_the_client_is_told_by_its_connect(client_id: str, version: int) -> None:
    faulty = Wire().faulty
    faulty.connected(connect(client_id, version))
    assert (faulty.client_id, faulty.version) == (client_id, version)


@given(st.binary(max_size=60))
def test_what_is_no_connect_is_nobodys(packet: bytes) -> None:
    faulty = Wire().faulty
    faulty.connected(b"\x30" + packet)
    assert not faulty.client_id


@given(st.lists(st.binary(max_size=300), max_size=5), st.integers(1, 50))
def test_packets_are_cut_wherever_the_stream_is(payloads: list[bytes], step: int) -> None:
    packets = [published("t", payload) for payload in payloads]
    stream, buffer, found = b"".join(packets), bytearray(), list[bytes]()
    for start in range(0, len(stream), step):
        buffer += stream[start : start + step]
        found += mqtt.whole(buffer)
    assert found == packets


# --- a rude cloud --------------------------------------------------------------------


@given(percent=st.integers(0, MOST_PERCENT), seed=st.integers())
def test_a_rude_wire_loses_nothing(percent: int, seed: int) -> None:
    sent = [message(number) for number in range(30)]
    got = [packet for _at, packet in Wire(rude=Rude(percent, seed)).send(*sent)]
    assert set(got) == set(sent)
    assert len(got) <= 2 * len(sent)


def test_one_seed_is_one_sequence() -> None:
    def moods(seed: int) -> list[object]:
        rude = Rude(50, seed)
        return [rude.for_message() for _message in range(50)]

    assert moods(1) == moods(1) != moods(2)


@pytest.mark.parametrize("percent", [0, 5, 20, 50])
def test_it_is_as_rude_as_it_was_told(percent: int) -> None:
    rude = Rude(percent, 1)
    refused = sum(rude.throttles() for _request in range(10_000))
    assert refused == pytest.approx(percent * 100, abs=200)
