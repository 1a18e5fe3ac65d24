"""Does the relay see how far TLS came, and pass on nothing but its own connection?"""

import socket
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.connection.pump import Pump, Way
from device.connection.relay import RecordTypes, Relay
from tests.support.hang import SECONDS

HANDSHAKE, CHANGE_CIPHER, APPLICATION_DATA = 22, 20, 23


def record(kind: int, body: bytes) -> bytes:
    return bytes([kind, 3, 3]) + len(body).to_bytes(2, "big") + body


RECORDS = st.lists(st.tuples(st.integers(20, 24), st.binary(max_size=300)), max_size=8)


@given(RECORDS, st.lists(st.integers(1, 700)))
def test_records_are_found_however_the_stream_is_cut(
    records: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    stream = b"".join(record(kind, body) for kind, body in records)
    types = RecordTypes()
    ends = sorted({min(cut, len(stream)) for cut in cuts} | {len(stream)})
    for start, end in zip([0, *ends], ends, strict=False):
        types.feed(stream[start:end])

    assert types.seen == {kind for kind, _ in records}


PUMP: ContextVar[Pump | None] = ContextVar("PUMP", default=None)


@pytest.fixture(params=["alone", "one of many"])
def pump(request: pytest.FixtureRequest) -> Iterator[None]:
    """Ask each question of a relay with its own threads, and of one that shares a pump."""
    token = PUMP.set(shared_pump() if request.param == "one of many" else None)
    yield
    PUMP.reset(token)


@cache
def shared_pump() -> Pump:
    return Pump()


def test_a_side_that_reads_nothing_ends_the_reading_from_the_other() -> None:
    giver, source = socket.socketpair()
    sink, taker = socket.socketpair()
    with giver, source, sink, taker:
        for each in (giver, source, sink):
            each.settimeout(0.0)
        way = Way(source, sink, lambda _: True)
        for _ in range(200):
            with suppress(BlockingIOError):
                giver.send(bytes(65_536))
            if way.wants_more:
                way.read()

        assert not way.wants_more
        assert len(way.pending) < 4 * 65_536


@contextmanager
def relay_to_a_pair() -> Iterator[tuple[Relay, socket.socket]]:
    """Run a relay to the other end of a connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        far = socket.create_connection(listener.getsockname(), SECONDS)
        listener.settimeout(SECONDS)
        server, _ = listener.accept()
        server.settimeout(SECONDS)
    relay = Relay(lambda: far, PUMP.get())
    relay.start()
    try:
        yield relay, server
    finally:
        relay.close()
        server.close()


def asking(relay: Relay, password: str) -> socket.socket:
    login = b64encode(f"firstboot:{password}".encode()).decode()
    client = socket.create_connection(("127.0.0.1", relay.port), 5.0)
    head = f"CONNECT x:1 HTTP/1.1\r\nProxy-Authorization: Basic {login}\r\n\r\n"
    client.sendall(head.encode())
    return client


@pytest.mark.parametrize(
    ("sent", "complete"),
    [
        (b"", False),
        (record(HANDSHAKE, b"hello"), False),
        (record(HANDSHAKE, b"hello") + record(CHANGE_CIPHER, b"\1"), False),
        (record(HANDSHAKE, bytes([APPLICATION_DATA] * 9)), False),
        (record(HANDSHAKE, b"hello") + record(APPLICATION_DATA, b"finished"), True),
    ],
)
def test_tls_is_complete_when_the_client_sends_data(
    sent: bytes, complete: bool, pump: None
) -> None:
    with relay_to_a_pair() as (relay, server), asking(relay, relay.password) as client:
        assert client.recv(100).startswith(b"HTTP/1.1 200")
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        while server.recv(100):
            pass

        assert relay.tls_complete is complete


def test_a_stranger_is_turned_away_and_the_client_is_not(pump: None) -> None:
    with relay_to_a_pair() as (relay, _):
        with asking(relay, "a guess") as stranger:
            assert stranger.recv(100) == b""
        with asking(relay, relay.password) as client:
            assert client.recv(100).startswith(b"HTTP/1.1 200")


def test_a_client_is_met_once_it_has_said_who_it_is(pump: None) -> None:
    with relay_to_a_pair() as (relay, _):
        with asking(relay, "a guess") as stranger:
            assert stranger.recv(100) == b""
        assert not relay.was_met
        with asking(relay, relay.password) as client:
            assert client.recv(100).startswith(b"HTTP/1.1 200")
        assert relay.was_met


def test_what_cannot_be_reached_is_kept_as_the_reason(pump: None) -> None:
    def refuse() -> socket.socket:
        raise ConnectionRefusedError(111, "refused")

    relay = Relay(refuse, PUMP.get())
    relay.start()
    with asking(relay, relay.password) as client:
        assert client.recv(100).startswith(b"HTTP/1.1 502")
    relay.close()

    assert isinstance(relay.failure, ConnectionRefusedError)


def test_closing_waits_for_no_name_server(pump: None) -> None:
    asked, answered = threading.Event(), threading.Event()

    def look_up() -> socket.socket:
        asked.set()
        answered.wait(SECONDS)
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    relay = Relay(look_up, PUMP.get())
    relay.start()
    closing = threading.Thread(target=relay.close, daemon=True)
    with asking(relay, relay.password):
        assert asked.wait(5.0)
        closing.start()
        closing.join(10.0)
        assert not closing.is_alive()
    answered.set()


def test_a_server_is_judged_from_its_answer_until_tls_is_complete(pump: None) -> None:
    with relay_to_a_pair() as (relay, server), asking(relay, relay.password) as client:
        assert client.recv(100).startswith(b"HTTP/1.1 200")
        client.sendall(record(HANDSHAKE, b"hello"))
        assert server.recv(100)
        silent = relay.is_judging
        server.sendall(record(HANDSHAKE, b"certificate"))
        assert client.recv(100)
        answered = relay.is_judging
        client.sendall(record(APPLICATION_DATA, b"finished"))
        assert server.recv(100)
        assert (silent, answered, relay.is_judging) == (False, True, False)


def test_what_a_slow_reader_has_not_taken_waits_and_arrives_whole(pump: None) -> None:
    sent = bytes(range(256)) * 8192
    with relay_to_a_pair() as (relay, server), asking(relay, relay.password) as client:
        assert client.recv(100).startswith(b"HTTP/1.1 200")
        sender = threading.Thread(target=server.sendall, args=(sent,))
        sender.start()
        client.settimeout(SECONDS)
        received = b""
        while len(received) < len(sent):
            received += client.recv(4096)
        sender.join(SECONDS)
    assert received == sent
