"""The packets of MQTT 3.1.1 and 5.0, chapter 3 of both: what a client sends, what it is sent."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from localcloud.broker import codec
from localcloud.broker.codec import MalformedError, Properties, Property, Reader

MQTT_311: Final = 4
MQTT_5: Final = 5
_LONGEST_HEADER: Final = 5


class Kind(IntEnum):
    """Packet types."""

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


class Reason(IntEnum):
    """The reason codes of MQTT 5 that the broker sends or reads."""

    SUCCESS = 0x00
    DISCONNECT_WITH_WILL = 0x04
    NO_SUBSCRIPTION = 0x11
    MALFORMED = 0x81
    PROTOCOL_ERROR = 0x82
    CLIENT_ID_INVALID = 0x85
    NOT_AUTHORIZED = 0x87
    KEEP_ALIVE_TIMEOUT = 0x8D
    TAKEN_OVER = 0x8E
    FILTER_INVALID = 0x8F
    TOPIC_INVALID = 0x90
    ALIAS_INVALID = 0x94
    TOO_LARGE = 0x95
    QUOTA_EXCEEDED = 0x97
    ADMINISTRATIVE_ACTION = 0x98
    QOS_UNSUPPORTED = 0x9B
    SUBSCRIPTION_ID_UNSUPPORTED = 0xA1


FAILURE_311: Final = 0x80  # in SUBACK
UNACCEPTABLE_VERSION_311: Final = 0x01  # in CONNACK


class VersionError(Exception):
    """The client speaks neither 3.1.1 nor 5.0."""


@dataclass(frozen=True)
class Will:
    """What is published when the client is lost."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    properties: Properties


@dataclass(frozen=True)
class Connect:
    """CONNECT."""

    version: int
    clean: bool
    """Clean Session of 3.1.1, Clean Start of 5.0."""
    keep_alive: int
    """Seconds."""
    client_id: str
    will: Will | None
    properties: Properties


@dataclass(frozen=True)
class Publish:
    """PUBLISH, in either direction."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    packet_id: int
    properties: Properties


@dataclass(frozen=True)
class Subscribe:
    """SUBSCRIBE: each filter with its options byte."""

    packet_id: int
    filters: Sequence[tuple[str, int]]
    properties: Properties


def split(buffer: bytearray) -> Iterator[tuple[int, int, bytes]]:
    """Take each whole packet from the front of ``buffer``: type, flags and body.

    Raises:
        MalformedError: a length has more than four bytes.
    """
    while (end := _end_of_first(buffer)) is not None:
        header, stop = end
        first, body = buffer[0], bytes(buffer[header:stop])
        del buffer[:stop]
        yield first >> 4, first & 0x0F, body


def whole(buffer: bytearray) -> Iterator[bytes]:
    """Take each whole packet from the front of ``buffer``, as it stands there.

    Raises:
        MalformedError: a length has more than four bytes.
    """
    while (end := _end_of_first(buffer)) is not None:
        _header, stop = end
        packet = bytes(buffer[:stop])
        del buffer[:stop]
        yield packet


def _end_of_first(buffer: bytearray) -> tuple[int, int] | None:
    length = 0
    for index, byte in enumerate(buffer[1:_LONGEST_HEADER]):
        length |= (byte & 0x7F) << 7 * index
        if not byte & 0x80:
            header = index + 2
            return (header, header + length) if len(buffer) >= header + length else None
    if len(buffer) >= _LONGEST_HEADER:
        raise MalformedError("a length has more than four bytes")
    return None


def read_connect(body: bytes) -> Connect:
    """Read the body of a CONNECT.

    Raises:
        MalformedError, VersionError
    """
    reader = Reader(body)
    name, version = reader.string(), reader.byte()
    if name != "MQTT" or version not in {MQTT_311, MQTT_5}:
        raise VersionError(f"{name} {version}")
    flags, keep_alive = reader.byte(), reader.u16()
    given = reader.properties() if version == MQTT_5 else {}
    client_id = reader.string()
    will = _read_will(reader, flags, version) if flags & 0x04 else None
    return Connect(version, bool(flags & 0x02), keep_alive, client_id, will, given)


def connect_in(packet: bytes) -> Connect | None:
    """Return what a whole CONNECT packet asks for; None of what is not one, or not to be read."""
    try:
        [(kind, _flags, body)] = split(bytearray(packet))
        return read_connect(body) if kind == Kind.CONNECT else None
    except (ValueError, VersionError):  # MalformedError is a ValueError, as is no whole packet
        return None


def _read_will(reader: Reader, flags: int, version: int) -> Will:
    given = reader.properties() if version == MQTT_5 else {}
    topic, payload = reader.string(), reader.binary()
    return Will(topic, payload, flags >> 3 & 3, bool(flags & 0x20), given)


def read_publish(flags: int, body: bytes, version: int) -> Publish:
    """Read the flags and body of a PUBLISH.

    Raises:
        MalformedError
    """
    reader, qos = Reader(body), flags >> 1 & 3
    topic = reader.string()
    packet_id = _read_packet_id(reader) if qos else 0
    given = reader.properties() if version == MQTT_5 else {}
    return Publish(topic, reader.rest(), qos, bool(flags & 1), packet_id, given)


def read_subscribe(body: bytes, version: int) -> Subscribe:
    """Read the body of a SUBSCRIBE.

    Raises:
        MalformedError
    """
    reader = Reader(body)
    packet_id = _read_packet_id(reader)
    given = reader.properties() if version == MQTT_5 else {}
    filters = []
    while reader:
        filters.append((reader.string(), reader.byte()))
    if not filters:
        raise MalformedError("SUBSCRIBE without a topic filter")
    return Subscribe(packet_id, filters, given)


def read_unsubscribe(body: bytes, version: int) -> tuple[int, list[str]]:
    """Read the body of an UNSUBSCRIBE: packet identifier and topic filters.

    Raises:
        MalformedError
    """
    reader = Reader(body)
    packet_id = _read_packet_id(reader)
    if version == MQTT_5:
        reader.properties()
    filters = []
    while reader:
        filters.append(reader.string())
    if not filters:
        raise MalformedError("UNSUBSCRIBE without a topic filter")
    return packet_id, filters


def read_puback(body: bytes) -> int:
    """Return the packet identifier that a PUBACK names.

    Raises:
        MalformedError
    """
    return _read_packet_id(Reader(body))


def read_disconnect(body: bytes, version: int) -> tuple[int, Properties]:
    """Return reason code and properties of a DISCONNECT; 3.1.1 has neither.

    Raises:
        MalformedError
    """
    reader = Reader(body if version == MQTT_5 else b"")
    reason = reader.byte() if reader else int(Reason.SUCCESS)
    return reason, reader.properties() if reader else {}


def _read_packet_id(reader: Reader) -> int:
    packet_id = reader.u16()
    if not packet_id:
        raise MalformedError("the packet identifier is 0")
    return packet_id


def _packet(kind: Kind, body: bytes, flags: int = 0) -> bytes:
    return bytes([kind << 4 | flags]) + codec.varint(len(body)) + body


def connack(
    version: int, reason: int, given: Properties, *, session_present: bool = False
) -> bytes:
    """Return a CONNACK."""
    block = codec.properties(given) if version == MQTT_5 else b""
    return _packet(Kind.CONNACK, bytes([session_present, reason]) + block)


def publish(version: int, message: Publish) -> bytes:
    """Return a PUBLISH to a client; AWS IoT never sets the DUP flag."""
    packet_id = message.packet_id.to_bytes(2, "big") if message.qos else b""
    block = codec.properties(message.properties) if version == MQTT_5 else b""
    body = codec.string(message.topic) + packet_id + block + message.payload
    return _packet(Kind.PUBLISH, body, message.qos << 1 | message.retain)


def puback(version: int, packet_id: int, reason: int = Reason.SUCCESS) -> bytes:
    """Return a PUBACK."""
    more = bytes([reason]) + codec.properties({}) if version == MQTT_5 else b""
    return _packet(Kind.PUBACK, packet_id.to_bytes(2, "big") + more)


def suback(version: int, packet_id: int, reasons: Sequence[int]) -> bytes:
    """Return a SUBACK with a code for each filter."""
    block = codec.properties({}) if version == MQTT_5 else b""
    return _packet(Kind.SUBACK, packet_id.to_bytes(2, "big") + block + bytes(reasons))


def unsuback(version: int, packet_id: int, reasons: Sequence[int]) -> bytes:
    """Return an UNSUBACK; 3.1.1 has no codes in it."""
    more = codec.properties({}) + bytes(reasons) if version == MQTT_5 else b""
    return _packet(Kind.UNSUBACK, packet_id.to_bytes(2, "big") + more)


def pingresp() -> bytes:
    """Return a PINGRESP."""
    return _packet(Kind.PINGRESP, b"")


def disconnect(reason: int, text: str = "") -> bytes:
    """Return a DISCONNECT, which only an MQTT 5 client is sent; ``text`` says why."""
    given = {Property.REASON_STRING: text} if text else {}
    return _packet(Kind.DISCONNECT, bytes([reason]) + codec.properties(given))
