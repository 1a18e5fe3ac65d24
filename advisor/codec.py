"""The MQTT packets that a client sends, read; those that a server sends, written (3.1.1 and 5).

The advisor imports nothing of the local AWS, so that a fault in one codec is seen by the other.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

MQTT_311: Final = 4
MQTT_5: Final = 5
_LONGEST_LENGTH: Final = 4


class Kind(IntEnum):
    """Types of control packets."""

    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    SUBSCRIBE = 8
    SUBACK = 9
    UNSUBSCRIBE = 10
    UNSUBACK = 11
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14


class MalformedError(ValueError):
    """The bytes are no packet of MQTT."""


@dataclass(frozen=True)
class Packet:
    """A packet as it was read; a field that its kind does not have is empty."""

    kind: Kind
    packet_id: int = 0
    topic: str = ""
    payload: bytes = b""
    qos: int = 0
    is_dup: bool = False
    filters: tuple[tuple[str, int], ...] = ()
    """Topic filters, each with the QoS that is asked for."""
    reason: int = 0
    version: int = 0
    client_id: str = ""
    is_clean: bool = False
    keep_alive: int = 0
    session_expiry: int = 0
    """Seconds; MQTT 5 only."""

    @property
    def asks_to_keep_session(self) -> bool:
        """Whether this CONNECT wants its session to outlive the connection."""
        return bool(self.session_expiry) if self.version == MQTT_5 else not self.is_clean


class Reader:
    """Takes field after field from the body of a packet."""

    def __init__(self, data: bytes) -> None:
        """Begin at the first byte of ``data``."""
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        """Whether anything is left."""
        return self._at < len(self._data)

    def take(self, size: int) -> bytes:
        """Return the next bytes.

        Raises:
            MalformedError: there are fewer.
        """
        end = self._at + size
        if end > len(self._data):
            raise MalformedError("a packet ends within a field")
        taken, self._at = self._data[self._at : end], end
        return taken

    def rest(self) -> bytes:
        """Return what is left."""
        return self.take(len(self._data) - self._at)

    def number(self, size: int) -> int:
        """Return an integer of ``size`` bytes."""
        return int.from_bytes(self.take(size), "big")

    def binary(self) -> bytes:
        """Return what its length precedes."""
        return self.take(self.number(2))

    def text(self) -> str:
        """Return a string.

        Raises:
            MalformedError: it is not UTF-8.
        """
        try:
            return self.binary().decode()
        except UnicodeDecodeError as error:
            raise MalformedError("a string is not UTF-8") from error

    def length(self) -> int:
        """Return a variable byte integer."""
        value = 0
        for index in range(_LONGEST_LENGTH):
            byte = self.number(1)
            value |= (byte & 0x7F) << 7 * index
            if byte < 0x80:
                return value
        raise MalformedError("a length has more than four bytes")

    def properties(self) -> "Reader":
        """Return a reader of a block of properties."""
        return Reader(self.take(self.length()))


_SESSION_EXPIRY: Final = 0x11
_FOUR_BYTES: Final = (0x02, _SESSION_EXPIRY, 0x18, 0x27)
_TWO_BYTES: Final = (0x13, 0x21, 0x22, 0x23)
_LENGTH_AND_BYTES: Final = (0x03, 0x08, 0x09, 0x12, 0x15, 0x16, 0x1A, 0x1C, 0x1F)
_SUBSCRIPTION_ID: Final = 0x0B
_USER_PROPERTY: Final = 0x26


def _numbers_in(reader: Reader) -> dict[int, int]:
    """Return the four-byte properties of a block (MQTT 5, 2.2.2.2)."""
    found = {}
    while reader:
        name = reader.number(1)
        if name in _FOUR_BYTES:
            found[name] = reader.number(4)
        elif name in _TWO_BYTES:
            reader.number(2)
        elif name in _LENGTH_AND_BYTES:
            reader.binary()
        elif name == _USER_PROPERTY:
            reader.binary(), reader.binary()
        elif name == _SUBSCRIPTION_ID:
            reader.length()
        else:
            reader.number(1)
    return found


def take_packets(buffer: bytearray) -> Iterator[bytes]:
    """Take each whole packet from the front of ``buffer``.

    Raises:
        MalformedError: a length has more than four bytes.
    """
    while (size := _size_of_first(buffer)) is not None and len(buffer) >= size:
        packet = bytes(buffer[:size])
        del buffer[:size]
        yield packet


def _size_of_first(buffer: bytearray) -> int | None:
    length = 0
    for index, byte in enumerate(buffer[1 : 2 + _LONGEST_LENGTH]):
        if index == _LONGEST_LENGTH:
            raise MalformedError("a length has more than four bytes")
        length |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return 2 + index + length
    return None


def read(packet: bytes, version: int) -> Packet:
    """Read a packet of a client that speaks ``version``; its CONNECT says it by itself.

    Raises:
        MalformedError: it is none.
    """
    try:
        kind = Kind(packet[0] >> 4)
    except ValueError as error:
        raise MalformedError(f"a client does not send packets of type {packet[0] >> 4}") from error
    header = Reader(packet[1:])
    header.length()
    body = Reader(header.rest())
    match kind:
        case Kind.CONNECT:
            return _connect(body)
        case Kind.PUBLISH:
            return _publish(packet[0] & 0x0F, body, version)
        case Kind.SUBSCRIBE | Kind.UNSUBSCRIBE:
            return _filters(kind, body, version)
        case Kind.PUBACK:
            return Packet(kind, body.number(2), reason=body.number(1) if body else 0)
        case Kind.DISCONNECT:
            return Packet(kind, reason=body.number(1) if body else 0)
    return Packet(kind)


def _connect(body: Reader) -> Packet:
    name, version, flags, keep_alive = body.text(), body.number(1), body.number(1), body.number(2)
    if name != "MQTT" or version not in {MQTT_311, MQTT_5}:
        raise MalformedError(f"CONNECT speaks {name} level {version}; AWS has 3.1.1 and 5 only")
    found = _numbers_in(body.properties()) if version == MQTT_5 else {}
    return Packet(
        Kind.CONNECT,
        version=version,
        client_id=body.text(),
        is_clean=bool(flags & 0x02),
        keep_alive=keep_alive,
        session_expiry=found.get(_SESSION_EXPIRY, 0),
    )


def _publish(flags: int, body: Reader, version: int) -> Packet:
    qos, topic = flags >> 1 & 3, body.text()
    packet_id = body.number(2) if qos else 0
    if version == MQTT_5:
        body.properties()
    return Packet(Kind.PUBLISH, packet_id, topic, body.rest(), qos, is_dup=bool(flags & 0x08))


def _filters(kind: Kind, body: Reader, version: int) -> Packet:
    packet_id = body.number(2)
    if version == MQTT_5:
        body.properties()
    filters = []
    while body:
        name = body.text()
        filters.append((name, body.number(1) & 3 if kind is Kind.SUBSCRIBE else 0))
    return Packet(kind, packet_id, filters=tuple(filters))


# --- what a server sends --------------------------------------------------------------


def _length(value: int) -> bytes:
    encoded = b""
    while True:
        value, low = divmod(value, 0x80)
        encoded += bytes([low | (0x80 if value else 0)])
        if not value:
            return encoded


def _whole(kind: Kind, body: bytes, flags: int = 0) -> bytes:
    return bytes([kind << 4 | flags]) + _length(len(body)) + body


def _none(version: int) -> bytes:
    return b"\0" if version == MQTT_5 else b""


def connack(version: int, reason: int = 0, *, session_present: bool = False) -> bytes:
    """Return a CONNACK."""
    return _whole(Kind.CONNACK, bytes([session_present, reason]) + _none(version))


def publish(version: int, topic: str, payload: bytes, packet_id: int, qos: int = 1) -> bytes:
    """Return a PUBLISH to a client."""
    name = struct.pack("!H", len(topic.encode())) + topic.encode()
    number = packet_id.to_bytes(2, "big") if qos else b""
    return _whole(Kind.PUBLISH, name + number + _none(version) + payload, qos << 1)


def puback(packet_id: int) -> bytes:
    """Return a PUBACK of success, which both versions write alike."""
    return _whole(Kind.PUBACK, packet_id.to_bytes(2, "big"))


def suback(version: int, packet_id: int, reasons: bytes) -> bytes:
    """Return a SUBACK with a code for each filter."""
    return _whole(Kind.SUBACK, packet_id.to_bytes(2, "big") + _none(version) + reasons)


def unsuback(version: int, packet_id: int, count: int) -> bytes:
    """Return an UNSUBACK of success."""
    codes = _none(version) + bytes(count) if version == MQTT_5 else b""
    return _whole(Kind.UNSUBACK, packet_id.to_bytes(2, "big") + codes)


def pingresp() -> bytes:
    """Return a PINGRESP."""
    return _whole(Kind.PINGRESP, b"")


def disconnect(reason: int) -> bytes:
    """Return a DISCONNECT, which a server sends in MQTT 5 only."""
    return _whole(Kind.DISCONNECT, bytes([reason]))
