"""An MQTT client that does what a good one never would: stays silent, withholds PUBACK, breaks off.

It shares no code with the broker. Formats: MQTT 3.1.1 and 5.0, chapter 3 of both.
"""

import socket
import ssl
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.wire.conftest import LocalCloud
from tests.wire.localcloud_sdk import Credential

CONNACK, PUBLISH, PUBACK, SUBACK, PINGRESP, DISCONNECT = 2, 3, 4, 9, 13, 14
PING = b"\xc0\x00"
SECONDS = 10.0


@dataclass(frozen=True)
class Packet:
    kind: int
    flags: int
    body: bytes


@dataclass(frozen=True)
class Message:
    topic: str
    payload: bytes
    qos: int
    packet_id: int
    retain: bool


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("!H", len(data)) + data


def packet(first: int, body: bytes) -> bytes:
    length, out = len(body), bytearray()
    while True:
        length, low = divmod(length, 128)
        out.append(low | (128 if length else 0))
        if not length:
            return bytes([first]) + bytes(out) + body


@dataclass(frozen=True)
class Will:
    topic: str
    payload: bytes = b"lost"
    delay: int = 0


class RawMqtt:
    """One connection; properties are given and told as bytes, without their length."""

    def __init__(
        self,
        cloud: LocalCloud,
        credential: Credential,
        version: int = 4,
        alpn: tuple[str, ...] = (),
    ) -> None:
        context = ssl.create_default_context(cafile=str(cloud.root_ca))
        with tempfile.TemporaryDirectory() as folder:
            pem = Path(folder) / "device.pem"
            pem.write_text(credential.certificate_pem + credential.private_key_pem)
            context.load_cert_chain(pem)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        raw = socket.create_connection((cloud.mqtt_host, cloud.mqtt_port), timeout=SECONDS)
        self.socket = context.wrap_socket(raw, server_hostname=cloud.mqtt_host)
        self.version = version
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.cut()

    def cut(self) -> None:
        """Break the connection off, without DISCONNECT."""
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def _block(self, properties: bytes) -> bytes:
        return bytes([len(properties)]) + properties if self.version == 5 else b""

    def connect(
        self,
        client_id: str,
        *,
        clean: bool = True,
        keep_alive: int = 60,
        will: Will | None = None,
        properties: bytes = b"",
    ) -> Packet:
        flags = (0x02 if clean else 0) | (0x04 if will else 0)
        body = text("MQTT") + bytes([self.version, flags]) + struct.pack("!H", keep_alive)
        body += self._block(properties) + text(client_id)
        if will:
            delay = b"\x18" + struct.pack("!I", will.delay) if will.delay else b""
            body += self._block(delay) + text(will.topic) + text(will.payload)
        self.send(packet(0x10, body))
        return self.expect(CONNACK)

    def subscribe(self, *filters: str, qos: int = 1) -> list[int]:
        body = struct.pack("!H", 1) + self._block(b"")
        body += b"".join(text(one) + bytes([qos]) for one in filters)
        self.send(packet(0x82, body))
        answer = self.expect(SUBACK)
        return list(answer.body[3 if self.version == 5 else 2 :])

    def publish(
        self, topic: str, payload: bytes = b"{}", *, qos: int = 1, properties: bytes = b""
    ) -> None:
        packet_id = struct.pack("!H", 7) if qos else b""
        body = text(topic) + packet_id + self._block(properties) + payload
        self.send(packet(0x30 | qos << 1, body))

    def published(self, topic: str, payload: bytes = b"{}") -> int:
        """Publish with QoS 1 and return the reason code of the PUBACK."""
        self.publish(topic, payload)
        return int([*self.expect(PUBACK).body[2:3], 0][0])

    def acknowledge(self, message: Message) -> None:
        self.send(packet(0x40, struct.pack("!H", message.packet_id)))

    def receive(self) -> Message:
        """Return the next PUBLISH; other packets before it are dropped."""
        return self.message(self.expect(PUBLISH))

    def message(self, got: Packet) -> Message:
        """Return what a PUBLISH says."""
        qos = got.flags >> 1 & 3
        end = 2 + struct.unpack("!H", got.body[:2])[0]
        topic, rest = got.body[2:end].decode(), got.body[end:]
        packet_id = struct.unpack("!H", rest[:2])[0] if qos else 0
        rest = rest[2:] if qos else rest
        if self.version == 5:
            rest = rest[1 + rest[0] :]
        return Message(topic, rest, qos, packet_id, bool(got.flags & 1))

    def nothing_comes(self) -> bool:
        """Whether no message is under way: a PING is answered first."""
        self.send(PING)
        while (got := self.read()).kind == PUBACK:
            pass
        return got.kind == PINGRESP

    def expect(self, kind: int) -> Packet:
        while (got := self.read()).kind != kind:
            pass
        return got

    def read(self) -> Packet:
        """Return the next packet.

        Raises:
            ConnectionError: the broker has closed.
        """
        while (found := self._first()) is None:
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionError("closed")
            self._buffer += data
        return found

    def _first(self) -> Packet | None:
        length = 0
        for index, byte in enumerate(self._buffer[1:5]):
            length |= (byte & 127) << 7 * index
            if not byte & 128:
                start = index + 2
                break
        else:
            return None
        if len(self._buffer) < start + length:
            return None
        first, body = self._buffer[0], self._buffer[start : start + length]
        self._buffer = self._buffer[start + length :]
        return Packet(first >> 4, first & 15, body)

    def is_closed(self) -> bool:
        """Wait until the broker closes."""
        try:
            while True:
                self.read()
        except ConnectionError:
            return True


@contextmanager
def connected(
    cloud: LocalCloud, credential: Credential, client_id: str, version: int = 4, **options: Any
) -> Iterator[RawMqtt]:
    with RawMqtt(cloud, credential, version) as client:
        client.connect(client_id, **options)
        yield client
