"""An MQTT 3.1.1 client of sixty lines: one connection, one request at a time, no second try."""

import json
import socket
import ssl
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_CONNACK, _PUBLISH = 0x20, 0x30


class PlainMqtt:
    """A connection to a broker, with a client certificate."""

    def __init__(
        self, port: int, root_ca: Path, certificate: Path, client_id: str, seconds: float = 10
    ) -> None:
        """Connect; ``certificate`` is a PEM file with the key; wait ``seconds`` for any answer.

        Raises:
            OSError: there is no broker, or it hangs up.
        """
        context = ssl.create_default_context(cafile=root_ca)
        context.load_cert_chain(certificate)
        raw = socket.create_connection(("127.0.0.1", port), timeout=10)
        with ExitStack() as failing:
            failing.callback(raw.close)
            self._socket = context.wrap_socket(raw, server_hostname="localhost")
            self._socket.settimeout(seconds)
            failing.callback(self._socket.close)
            self._send(0x10, _text("MQTT") + b"\x04\x02\x00\x3c" + _text(client_id))
            if self._read()[0] != _CONNACK:
                raise ConnectionError("no CONNACK")
            failing.pop_all()

    def __enter__(self) -> Self:
        """Use it as a context."""
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Hang up."""
        self._socket.close()

    def ask(self, topic: str, document: object) -> Any:
        """Publish to ``topic``; return what comes on ``topic/accepted``.

        Raises:
            OSError: the broker hangs up before it answers.
            LookupError: it answers on ``topic/rejected``.
        """
        for kind in ("accepted", "rejected"):
            self._send(0x82, b"\x00\x01" + _text(f"{topic}/{kind}") + b"\x01")
            self._read()
        self._send(_PUBLISH, _text(topic) + json.dumps(document).encode())
        while True:
            packet, body = self._read()
            if packet & 0xF0 == _PUBLISH:
                return _answer(packet, body)

    def publish(self, topic: str, payload: bytes) -> None:
        """Publish with QoS 1; return when it is acknowledged."""
        self._send(_PUBLISH | 2, _text(topic) + b"\x00\x01" + payload)
        self._read()

    def message(self) -> bytes:
        """Return the payload of the next message of QoS 0."""
        while True:
            kind, body = self._read()
            if kind & 0xF0 == _PUBLISH:
                return body[2 + int.from_bytes(body[:2], "big") :]

    def _send(self, kind: int, body: bytes) -> None:
        length, rest = b"", len(body)
        while True:
            rest, low = divmod(rest, 128)
            length += bytes([low | (0x80 if rest else 0)])
            if not rest:
                break
        self._socket.sendall(bytes([kind]) + length + body)

    def _read(self) -> tuple[int, bytes]:
        kind = self._take(1)[0]
        length, shift = 0, 0
        while True:
            low = self._take(1)[0]
            length |= (low & 0x7F) << shift
            shift += 7
            if not low & 0x80:
                return kind, self._take(length)

    def _take(self, size: int) -> bytes:
        taken = b""
        while len(taken) < size:
            read = self._socket.recv(size - len(taken))
            if not read:
                raise ConnectionError("the broker hung up")
            taken += read
        return taken


def _text(text: str) -> bytes:
    return len(text.encode()).to_bytes(2, "big") + text.encode()


def _answer(kind: int, body: bytes) -> Any:
    size = int.from_bytes(body[:2], "big")
    topic, payload = body[2 : 2 + size].decode(), body[2 + size :]
    document = json.loads(payload[2:] if kind & 0x06 else payload)
    if topic.endswith("/rejected"):
        raise LookupError(f"{topic}: {document}")
    return document
