"""What an MQTT packet says of itself: topics, codes, sizes and names of fields, never contents.

A rejection of fleet provisioning is the exception: its words are the reason.

Formats: MQTT 5.0 and 3.1.1, chapter 3 of both.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from localcloud.broker.codec import MalformedError, Reader, varint
from localcloud.broker.packets import split

_VERSION_5: Final = 5
_READ_ERRORS: Final = (MalformedError, IndexError)
_REJECTED: Final = re.compile(r"\$aws/(certificates|provisioning-templates)/.*/rejected$")
_LONGEST_REASON: Final = 300

Facts = Mapping[str, object]


@dataclass(frozen=True)
class Packet:
    """One packet as it stood on the wire."""

    kind: int
    flags: int
    body: bytes
    size: int
    """Bytes, header included."""

    def whole(self) -> bytes:
        """Return the packet with its header (MQTT 5, 2.1)."""
        return bytes([self.kind << 4 | self.flags]) + varint(len(self.body)) + self.body


class PacketReader:
    """Cuts the bytes of one direction of a connection into packets."""

    def __init__(self) -> None:
        """Begin with no bytes."""
        self._bytes = bytearray()

    def feed(self, data: bytes) -> Iterator[Packet]:
        """Yield each packet that ``data`` completes; anything else is skipped."""
        self._bytes += data
        before = len(self._bytes)
        try:
            for kind, flags, body in split(self._bytes):
                yield Packet(kind, flags, body, before - len(self._bytes))
                before = len(self._bytes)
        except MalformedError:  # the broker will close
            self._bytes.clear()


class PacketDescriber:
    """Tells what the packets of one connection say; CONNECT, its first, has the version."""

    def __init__(self) -> None:
        """Begin before the CONNECT."""
        self._version = _VERSION_5
        self._describers: Mapping[int, tuple[str, Callable[[Packet], Facts]]] = {
            1: ("CONNECT", self._connect),
            2: ("CONNACK", lambda packet: {"reason_codes": [packet.body[1]]}),
            3: ("PUBLISH", self._publish),
            4: ("PUBACK", lambda packet: {"reason_codes": [*packet.body[2:3]] or [0]}),
            8: ("SUBSCRIBE", self._subscribe),
            9: ("SUBACK", lambda packet: {"reason_codes": [*self._after_id(packet)]}),
            10: ("UNSUBSCRIBE", _nothing),
            11: ("UNSUBACK", _nothing),
            12: ("PINGREQ", _nothing),
            13: ("PINGRESP", _nothing),
            14: ("DISCONNECT", lambda packet: {"reason_codes": [*packet.body[:1]] or [0]}),
        }

    def describe(self, packet: Packet) -> Facts:
        """Return the packet's name and size, and what is particular to its kind."""
        name, facts = self._describers.get(packet.kind, (f"type {packet.kind}", _nothing))
        try:
            return {"packet": name, "bytes": packet.size, **facts(packet)}
        except _READ_ERRORS:
            return {"packet": f"{name}, malformed", "bytes": packet.size}

    def _connect(self, packet: Packet) -> Facts:
        reader = Reader(packet.body)
        reader.string()
        self._version = reader.byte()
        reader.take(3)  # flags, keep-alive
        self._skip_properties(reader)
        return {"version": self._version, "client_id": reader.string()}

    def _publish(self, packet: Packet) -> Facts:
        reader, quality = Reader(packet.body), packet.flags >> 1 & 3
        topic = reader.string()
        if quality:
            reader.u16()
        self._skip_properties(reader)
        payload = reader.rest()
        facts = {"topics": [topic], "qos": quality, "fields": _field_names(payload)}
        return facts | ({"reason": _rejection(payload)} if _REJECTED.match(topic) else {})

    def _subscribe(self, packet: Packet) -> Facts:
        reader, topics = Reader(self._after_id(packet)), []
        while reader:
            topics.append(reader.string())
            reader.byte()
        return {"topics": topics}

    def _after_id(self, packet: Packet) -> bytes:
        reader = Reader(packet.body)
        reader.u16()
        self._skip_properties(reader)
        return reader.rest()

    def _skip_properties(self, reader: Reader) -> None:
        if self._version == _VERSION_5:
            reader.properties()


def _nothing(_packet: Packet) -> Facts:
    return {}


def _field_names(payload: bytes) -> list[str]:
    """Return the names of a JSON object's fields; their values may be secret."""
    return list(_document(payload))


def _rejection(payload: bytes) -> str:
    """Return the words of AWS in a rejection: they hold no key and no token."""
    document = _document(payload)
    told = [document.get(name) for name in ("statusCode", "errorCode", "errorMessage")]
    return " ".join(str(each) for each in told if each is not None)[:_LONGEST_REASON] or "rejected"


def _document(payload: bytes) -> Mapping[str, object]:
    try:
        document = msgspec.json.decode(payload)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
