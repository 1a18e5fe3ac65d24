"""Does the relay see how far TLS came, and pass on nothing but its own connection?"""

import socket
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.runtime.relay import RecordTypes, Relay
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


@contextmanager
def relay_to_a_pair() -> Iterator[tuple[Relay, socket.socket]]:
    """Run a relay to the other end of a connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        far = socket.create_connection(listener.getsockname(), SECONDS)
        listener.settimeout(SECONDS)
        server, _ = listener.accept()
        server.settimeout(SECONDS)
    relay = Relay(lambda: far)
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
def test_tls_is_complete_when_the_client_sends_data(sent: bytes, complete: bool) -> None:
    with relay_to_a_pair() as (relay, server), asking(relay, relay.password) as client:
        assert client.recv(100).startswith(b"HTTP/1.1 200")
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        while server.recv(100):
            pass

        assert relay.tls_complete is complete


def test_a_stranger_is_turned_away_and_the_client_is_not() -> None:
    with relay_to_a_pair() as (relay, _):
        with asking(relay, "a guess") as stranger:
            assert stranger.recv(100) == b""
        with asking(relay, relay.password) as client:
            assert client.recv(100).startswith(b"HTTP/1.1 200")


def test_a_client_is_met_once_it_has_said_who_it_is() -> None:
    with relay_to_a_pair() as (relay, _):
        with asking(relay, "a guess") as stranger:
            assert stranger.recv(100) == b""
        assert not relay.was_met
        with asking(relay, relay.password) as client:
            assert client.recv(100).startswith(b"HTTP/1.1 200")
        assert relay.was_met


def test_what_cannot_be_reached_is_kept_as_the_reason() -> None:
    def refuse() -> socket.socket:
        raise ConnectionRefusedError(111, "refused")

    relay = Relay(refuse)
    relay.start()
    with asking(relay, relay.password) as client:
        assert client.recv(100).startswith(b"HTTP/1.1 502")
    relay.close()

    assert isinstance(relay.failure, ConnectionRefusedError)


def test_closing_waits_for_no_name_server() -> None:
    asked, answered = threading.Event(), threading.Event()

    def look_up() -> socket.socket:
        asked.set()
        answered.wait(SECONDS)
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    relay = Relay(look_up)
    relay.start()
    closing = threading.Thread(target=relay.close, daemon=True)
    with asking(relay, relay.password):
        assert asked.wait(5.0)
        closing.start()
        closing.join(10.0)
        assert not closing.is_alive()
    answered.set()
