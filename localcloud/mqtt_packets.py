"""What an MQTT packet says of itself: topics, codes, sizes and names of fields, never contents.

Formats: MQTT 5.0 and 3.1.1, chapter 3 of both. The fields are read with MiniStack's own readers.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from localcloud.gaps.seam import Seam

_VERSION_5: Final = 5
_READ_ERRORS: Final = (ValueError, IndexError)  # what MiniStack's readers raise

Facts = Mapping[str, object]


@dataclass(frozen=True)
class Packet:
    """One packet as it stood on the wire."""

    kind: int
    flags: int
    body: bytes
    size: int
    """Bytes, header included."""


class PacketReader:
    """Cuts the bytes of one direction of a connection into packets."""

    def __init__(self, iot: Seam) -> None:
        """Read with the readers of ``iot``."""
        self._length = iot["_decode_remaining_length"]
        self._bytes = b""

    def feed(self, data: bytes) -> Iterator[Packet]:
        """Yield each packet that ``data`` completes."""
        self._bytes += data
        while (packet := self._first()) is not None:
            self._bytes = self._bytes[packet.size :]
            yield packet

    def _first(self) -> Packet | None:
        try:
            length, start = self._length(self._bytes, 1)
        except _READ_ERRORS:  # incomplete, or no MQTT: the broker will close then
            return None
        end = start + length
        if len(self._bytes) < end:
            return None
        kind, flags = self._bytes[0] >> 4, self._bytes[0] & 0x0F
        return Packet(kind, flags, self._bytes[start:end], end)


class PacketDescriber:
    """Tells what the packets of one connection say; CONNECT, its first, has the version."""

    def __init__(self, iot: Seam) -> None:
        """Read with the readers of ``iot``."""
        self._string = iot["_read_string"]
        self._decode_properties = iot["_decode_properties"]
        self._version = _VERSION_5
        self._describers: Mapping[int, tuple[str, Callable[[Packet], Facts]]] = {
            1: ("CONNECT", self._connect),
            2: ("CONNACK", lambda packet: {"reason_codes": [packet.body[1]]}),
            3: ("PUBLISH", self._publish),
            4: ("PUBACK", lambda packet: {"reason_codes": [*packet.body[2:3]] or [0]}),
            8: ("SUBSCRIBE", self._subscribe),
            9: (
                "SUBACK",
                lambda packet: {"reason_codes": [*packet.body[self._after_id(packet) :]]},
            ),
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
        _, at = self._string(packet.body, 0)
        self._version = packet.body[at]
        flags_and_keep_alive = 3
        client_id, _ = self._string(
            packet.body, self._after_properties(packet, at + 1 + flags_and_keep_alive)
        )
        return {"version": self._version, "client_id": client_id}

    def _publish(self, packet: Packet) -> Facts:
        topic, at = self._string(packet.body, 0)
        quality = packet.flags >> 1 & 3
        packet_id = 2 if quality else 0
        payload = packet.body[self._after_properties(packet, at + packet_id) :]
        return {"topics": [topic], "qos": quality, "fields": _field_names(payload)}

    def _subscribe(self, packet: Packet) -> Facts:
        at, topics, options = self._after_id(packet), [], 1
        while at < len(packet.body):
            topic, at = self._string(packet.body, at)
            topics.append(topic)
            at += options
        return {"topics": topics}

    def _after_id(self, packet: Packet) -> int:
        return self._after_properties(packet, 2)

    def _after_properties(self, packet: Packet, at: int) -> int:
        if self._version != _VERSION_5:
            return at
        _, end = self._decode_properties(packet.body, at)
        return int(end)


def _nothing(_packet: Packet) -> Facts:
    return {}


def _field_names(payload: bytes) -> list[str]:
    """Return the names of a JSON object's fields; their values may be secret."""
    try:
        document = json.loads(payload)
    except (ValueError, RecursionError):
        return []
    return list(document) if isinstance(document, dict) else []
