"""The endpoint on real sockets: what comes late, what is cut later, and who never speaks TLS."""

import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from advisor import codec
from advisor.certificates import Authority, Presented, client_context, server_context
from advisor.codec import MQTT_311, Kind
from advisor.endpoint import Endpoint
from advisor.journal import Entry, Journal, What
from advisor.script import Cut, Delay, Rule, Script
from tests.advisor.virtual_client import Habits, connect
from tests.support.hang import SECONDS

CONNACK = codec.connack(MQTT_311)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


class Peer:
    """An endpoint that plays one script, and what it saw."""

    def __init__(self, authority: Authority, script: Script) -> None:
        self._authority = authority
        self._issued = authority.server(Presented.GOOD, "localhost")
        self.journal = Journal()
        context = server_context(self._issued, authority.root_pem)
        self.endpoint = Endpoint(script, context, self.journal, time.monotonic)

    @contextmanager
    def dialled(self) -> Iterator[ssl.SSLSocket]:
        context = client_context(self._authority.root_pem, self._authority.client("advisor"))
        with (
            socket.create_connection(("localhost", self.endpoint.port), SECONDS) as raw,
            context.wrap_socket(raw, server_hostname="localhost") as stream,
        ):
            stream.sendall(connect(Habits()))
            yield stream

    def wait_for(self, what: What) -> Entry:
        def found(entries: Sequence[Entry]) -> Entry | None:
            return next((entry for entry in entries if entry.what is what), None)

        entry = self.journal.wait_for(found, SECONDS)
        assert entry is not None
        return entry


def played(authority: Authority, *rules: Rule) -> Peer:
    return Peer(authority, Script(rules))


def test_a_packet_that_is_late_comes(authority: Authority) -> None:
    peer = played(authority, Rule(Kind.CONNACK, Delay(0.05)))
    with peer.endpoint, peer.dialled() as stream:
        assert stream.recv(100) == CONNACK


def test_a_connection_that_is_cut_later_is_noted_then(authority: Authority) -> None:
    peer = played(authority, Rule(Kind.CONNACK, Cut(delay=0.05)))
    with peer.endpoint, peer.dialled() as stream:
        assert stream.recv(100) == CONNACK
        assert not stream.recv(100)
        assert peer.wait_for(What.CUT).connection == 1


def test_a_client_that_resets_has_closed(authority: Authority) -> None:
    peer = played(authority)
    with peer.endpoint:
        with peer.dialled() as stream:
            assert stream.recv(100) == CONNACK
        assert peer.wait_for(What.CLOSED).connection == 1


def test_a_connection_can_be_dropped_before_tls(authority: Authority) -> None:
    peer = Peer(authority, Script(dropped=(1,)))
    with peer.endpoint, socket.create_connection(("localhost", peer.endpoint.port), SECONDS) as raw:
        assert raw.recv(1) == b""
        assert peer.wait_for(What.CUT).link == 1


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"])
def test_who_does_not_speak_tls_has_failed(authority: Authority, said: bytes) -> None:
    peer = played(authority)
    with peer.endpoint:
        with socket.create_connection(("localhost", peer.endpoint.port), SECONDS) as raw:
            raw.sendall(said)
        assert peer.wait_for(What.TLS_FAILED).link == 1
