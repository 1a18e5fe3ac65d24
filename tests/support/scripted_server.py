"""A server on loopback that does what a test tells it to, for what no honest broker does."""

import socket
import ssl
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from types import TracebackType
from typing import Final, Self

import trustme

from device.runtime.endpoint import Endpoint

SECONDS: Final = 3.0
"""After this long without a byte, a conversation is over."""

CONNECT, PUBLISH, SUBSCRIBE, DISCONNECT = 1, 3, 8, 14
"""Types of MQTT control packets (MQTT 5, 2.1.2)."""

Script = Callable[["Peer"], None]


def connack(reason_code: int = 0) -> bytes:
    """Return a CONNACK of MQTT 5."""
    return bytes([0x20, 3, 0, reason_code, 0])


def publish(topic: str, payload: bytes) -> bytes:
    """Return a PUBLISH of MQTT 5 at QoS 0."""
    body = struct.pack("!H", len(topic)) + topic.encode() + b"\0" + payload
    return b"\x30" + _variable_length(len(body)) + body


def _variable_length(length: int) -> bytes:
    encoded = b""
    while True:
        length, low = divmod(length, 128)
        encoded += bytes([low | (0x80 if length else 0)])
        if not length:
            return encoded


class Peer:
    """The client at the other end of one connection."""

    def __init__(self, stream: socket.socket) -> None:
        self._stream = stream

    def packet(self) -> int:
        """Return the type of the next MQTT packet, or 0 when there are no more."""
        return self.receive()[0]

    def receive(self) -> tuple[int, bytes]:
        """Return the type and the body of the next MQTT packet, or 0 and nothing."""
        first = self._bytes(1)
        if not first:
            return 0, b""
        return first[0] >> 4, self._bytes(self._length())

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._stream.sendall(data)

    def line(self) -> bytes:
        """Return what comes up to the next end of a line, without it."""
        read = b""
        while not read.endswith(b"\r\n"):
            byte = self._bytes(1)
            if not byte:
                break
            read += byte
        return read.rstrip(b"\r\n")

    def start_tls(self, context: ssl.SSLContext) -> None:
        """Speak TLS from here on, if the client goes along."""
        with suppress(OSError), context.wrap_socket(self._stream, server_side=True) as stream:
            self._stream = stream

    def play_over_tls(self, context: ssl.SSLContext, script: Script) -> None:
        """Play ``script`` over TLS from here on, if the client goes along."""
        with suppress(OSError), context.wrap_socket(self._stream, server_side=True) as stream:
            script(Peer(stream))

    def wait_until_closed(self) -> None:
        """Read until the client closes."""
        while self._bytes(1):
            pass

    def reset(self) -> None:
        """Close so that the client gets a RST."""
        self._stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._stream.close()

    def _length(self) -> int:
        length, shift = 0, 0
        while True:
            byte = self._bytes(1)[0]
            length |= (byte & 0x7F) << shift
            if byte < 0x80:
                return length
            shift += 7

    def _bytes(self, count: int) -> bytes:
        read = b""
        while len(read) < count:
            try:
                part = self._stream.recv(count - len(read))
            except OSError:
                return b""
            if not part:
                return b""
            read += part
        return read


class ScriptedServer:
    """Plays ``script`` to every client that connects; without a ``context``, over plain TCP."""

    def __init__(self, script: Script, context: ssl.SSLContext | None = None) -> None:
        self._script = script
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[tuple[socket.socket, threading.Thread]] = []
        self.endpoint: Final = Endpoint("localhost", self._listener.getsockname()[1])
        self.log: Final[list[str]] = []
        """``opened 1``, ``closed 1`` and so on, in the order in which it happened."""

    def __enter__(self) -> Self:
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join()
        for raw, thread in self._threads:
            with suppress(OSError):  # it is closed already
                raw.shutdown(socket.SHUT_RDWR)
            thread.join()

    def _accept(self) -> None:
        for number in range(1, 1_000):
            try:
                raw, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(raw, number))
            self._threads.append((raw, thread))
            thread.start()

    def _serve(self, raw: socket.socket, number: int) -> None:
        raw.settimeout(SECONDS)
        with raw:
            try:
                stream = self._context.wrap_socket(raw, server_side=True) if self._context else raw
            except OSError:
                return  # no handshake, no conversation: the client did not trust this server
            self.log.append(f"opened {number}")
            with stream:
                self._script(Peer(stream))
            self.log.append(f"closed {number}")


def tls(
    ca: trustme.CA,
    *names: str,
    not_before: datetime | None = None,
    not_after: datetime | None = None,
) -> ssl.SSLContext:
    """Return a server's TLS settings, with a certificate of ``ca`` for ``names``.

    It asks the client for a certificate, as AWS IoT does, and takes one of ``ca`` or none.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate = ca.issue_cert(
        *(names or ("localhost",)), not_before=not_before, not_after=not_after
    )
    certificate.configure_cert(context)
    ca.configure_trust(context)
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


def hang_up(peer: Peer) -> None:
    """Take the CONNECT and close without a word."""
    peer.packet()


def say_nothing(peer: Peer) -> None:
    """Close at once."""


def impostor(answer: Callable[[str], bytes]) -> Script:
    """Return a broker that grants all and sends ``answer(topic)`` when something is published."""

    def script(peer: Peer) -> None:
        peer.packet()
        peer.send(connack())
        while (packet := peer.receive())[0]:
            kind, body = packet
            if kind == SUBSCRIBE:
                peer.send(b"\x90\x07" + body[:2] + b"\0" + bytes(4))
            elif kind == PUBLISH:
                end = 2 + int.from_bytes(body[:2], "big")
                topic, packet_id = body[2:end].decode(), body[end : end + 2]
                peer.send(b"\x40\x02" + packet_id + answer(topic))

    return script


def let_in(peer: Peer) -> None:
    """Accept the CONNECT and keep the connection until the client closes it."""
    peer.packet()
    peer.send(connack())
    peer.wait_until_closed()
