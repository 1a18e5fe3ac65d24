"""A server on loopback that does what a test tells it to, for what no honest broker does."""

import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from types import TracebackType
from typing import Final, Self

import trustme

from device.config.endpoint import Endpoint
from tests.support.hang import SECONDS, join

CONNECT, PUBLISH, SUBSCRIBE, DISCONNECT = 1, 3, 8, 14
"""Types of MQTT control packets (MQTT 5, 2.1.2)."""

Script = Callable[["Peer"], None]


def connack(reason_code: int = 0, reason: str = "") -> bytes:
    """Return a CONNACK of MQTT 5, with a reason string if there is one."""
    return _packet(0x20, bytes([0, reason_code]), reason)


def disconnect(reason_code: int, reason: str = "") -> bytes:
    """Return a DISCONNECT of MQTT 5."""
    return _packet(0xE0, bytes([reason_code]), reason)


def suback(packet_id: bytes, *reason_codes: int, reason: str = "") -> bytes:
    """Return a SUBACK of MQTT 5."""
    return _packet(0x90, packet_id, reason, bytes(reason_codes))


def puback(packet_id: bytes, reason_code: int = 0, reason: str = "") -> bytes:
    """Return a PUBACK of MQTT 5."""
    return _packet(0x40, packet_id + bytes([reason_code]), reason)


def _packet(first: int, start: bytes, reason: str, end: bytes = b"") -> bytes:
    text = reason.encode()
    properties = b"\x1f" + struct.pack("!H", len(text)) + text if text else b""
    body = start + _variable_length(len(properties)) + properties + end
    return bytes([first]) + _variable_length(len(body)) + body


def publish(topic: str, payload: bytes, pretending: int = 0) -> bytes:
    """Return a PUBLISH of MQTT 5 at QoS 0; its header may say that more bytes follow."""
    body = struct.pack("!H", len(topic)) + topic.encode() + b"\0" + payload
    return b"\x30" + _variable_length(len(body) + pretending) + body


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

    @property
    def alpn(self) -> str | None:
        """The protocol that TLS agreed on."""
        stream = self._stream
        return stream.selected_alpn_protocol() if isinstance(stream, ssl.SSLSocket) else None

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

    def start_tls(self, context: ssl.SSLContext, then: "Script") -> None:
        """Speak TLS and play ``then``, if the client goes along."""
        with suppress(OSError), context.wrap_socket(self._stream, server_side=True) as stream:
            then(Peer(stream))

    def play_over_tls(self, context: ssl.SSLContext, script: Script) -> None:
        """Play ``script`` over TLS from here on, if the client goes along."""
        with suppress(OSError), context.wrap_socket(self._stream, server_side=True) as stream:
            script(Peer(stream))

    def wait_until_closed(self) -> None:
        """Read until the client closes."""
        while self._bytes(1):
            pass

    def say_goodbye(self) -> None:
        """Close TLS as its standard asks for: with close_notify."""
        if isinstance(self._stream, ssl.SSLSocket):
            with suppress(OSError):
                self._stream.unwrap()

    def hear(self) -> bytes:
        """Return what comes next, whatever it is."""
        return self._stream.recv(65_536)

    def is_gone(self, seconds: float) -> bool:
        """Wait; return whether the client closed in that time."""
        readable, _, _ = select.select([self._stream], [], [], seconds)
        return bool(readable) and not self._stream.recv(65_536)

    def wait_unread(self) -> None:
        """Wait until the client sent something, and leave it unread."""
        socket.socket.recv(self._stream, 1, socket.MSG_PEEK)  # below TLS, if there is TLS

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

    def __init__(
        self,
        script: Script,
        context: ssl.SSLContext | None = None,
        *,
        listens_at: str = "127.0.0.1",
    ) -> None:
        self._script = script
        self._context = context
        family = socket.AF_INET6 if ":" in listens_at else socket.AF_INET
        self._listener = socket.create_server((listens_at, 0), family=family)
        self._threads: list[tuple[socket.socket, threading.Thread]] = []
        self.endpoint: Final = Endpoint("localhost", self._listener.getsockname()[1])
        self.log: Final[list[str]] = []
        """``opened 1``, ``closed 1`` and so on, in the order in which it happened."""

    def __enter__(self) -> Self:
        self._accepting = threading.Thread(target=self._accept, daemon=True)
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
        join(self._accepting)
        for raw, thread in self._threads:
            with suppress(OSError):  # it is closed already
                raw.shutdown(socket.SHUT_RDWR)
            join(thread)

    def _accept(self) -> None:
        for number in range(1, 1_000):
            try:
                raw, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(raw, number), daemon=True)
            self._threads.append((raw, thread))
            thread.start()

    def _serve(self, raw: socket.socket, number: int) -> None:
        raw.settimeout(SECONDS)
        with raw:
            try:
                stream = self._context.wrap_socket(raw, server_side=True) if self._context else raw
            except OSError:
                # No handshake, no conversation. Closed at once, TCP could lose the alert.
                Peer(raw).wait_until_closed()
                return
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


def after_the_hello(peer: Peer) -> None:
    """Wait for a ClientHello, and close."""
    peer.hear()


def amid_the_handshake(context: ssl.SSLContext) -> Script:
    """Return a server that answers a ClientHello by half, and closes."""

    def script(peer: Peer) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_side=True)
        incoming.write(peer.hear())
        with suppress(ssl.SSLWantReadError):
            tls.do_handshake()
        peer.send(outgoing.read(outgoing.pending // 2))

    return script


def then_reset(script: Script) -> Script:
    """Return ``script`` with a RST at its end."""

    def resetting(peer: Peer) -> None:
        script(peer)
        peer.reset()

    return resetting


def then_say_goodbye(script: Script) -> Script:
    """Return ``script`` with a close_notify at its end, as AWS IoT Core closes."""

    def polite(peer: Peer) -> None:
        script(peer)
        peer.say_goodbye()

    return polite


def impostor(answer: Callable[[str], bytes]) -> Script:
    """Return a broker that grants all and sends ``answer(topic)`` when something is published."""

    def script(peer: Peer) -> None:
        peer.packet()
        peer.send(connack())
        while (packet := peer.receive())[0]:
            kind, body = packet
            if kind == SUBSCRIBE:
                peer.send(suback(body[:2], *bytes(4)))
            elif kind == PUBLISH:
                end = 2 + int.from_bytes(body[:2], "big")
                topic, packet_id = body[2:end].decode(), body[end : end + 2]
                peer.send(puback(packet_id) + answer(topic))

    return script


OPENED: Final = b"HTTP/1.1 200 Connection established\r\n\r\n"


def proxy_to(server: ssl.SSLContext, answer: bytes, then: Script = say_nothing) -> Script:
    """Return an HTTP proxy that answers CONNECT, and is then the server itself."""

    def script(peer: Peer) -> None:
        asked = peer.line()
        while peer.line():
            pass
        assert asked.startswith(b"CONNECT ")
        peer.send(answer)
        if b" 200 " in answer:
            peer.start_tls(server, then)

    return script


def answering(suback_codes: Sequence[int], puback_code: int, reason: str = "") -> Script:
    """Return a broker that answers each SUBSCRIBE and each PUBLISH with these reason codes."""

    def script(peer: Peer) -> None:
        peer.packet()
        peer.send(connack())
        while (packet := peer.receive())[0]:
            kind, body = packet
            if kind == SUBSCRIBE:
                peer.send(suback(body[:2], *suback_codes, reason=reason))
            elif kind == PUBLISH:
                end = 2 + int.from_bytes(body[:2], "big")
                peer.send(puback(body[end : end + 2], puback_code, reason))

    return script


def let_in(peer: Peer) -> None:
    """Accept the CONNECT and keep the connection until the client closes it."""
    peer.packet()
    peer.send(connack())
    peer.wait_until_closed()
