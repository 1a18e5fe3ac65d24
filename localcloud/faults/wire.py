"""Faults of the wire itself: what a client gets of what the broker sends, and when.

They are between the broker and TLS, and look at MQTT packets only as far as they must: where one
ends, of which kind it is, and who the client is. The broker knows nothing of them.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

from localcloud.faults.board import FaultBoard
from localcloud.faults.kinds import (
    Duplicate,
    Flood,
    HalfOpen,
    Reorder,
    Slow,
    Stall,
    WithholdConnack,
)
from localcloud.faults.rude import Rude
from localcloud.seam import Seam

_CONNECT, _CONNACK, _PUBLISH = 1, 2, 3
_MQTT_5: Final = 5
_CHUNKS_PER_SECOND: Final = 10

Write = Callable[[bytes], None]
Later = Callable[[float, Callable[[], None]], object]


class Packets:
    """Cuts a stream into MQTT packets."""

    def __init__(self) -> None:
        """Begin with nothing read."""
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield each packet that is whole by now."""
        if not self._rest and packet_size(data) == len(data):
            yield data  # as the broker writes it
            return
        self._rest += data
        while (size := packet_size(self._rest)) is not None and size <= len(self._rest):
            packet, self._rest = self._rest[:size], self._rest[size:]
            yield packet


def packet_size(data: bytes) -> int | None:
    """Return the size of the packet that ``data`` begins with, or None if it is not told yet."""
    length = 0
    for position, byte in enumerate(data[1:5]):
        length |= (byte & 0x7F) << (7 * position)
        if not byte & 0x80:
            return 2 + position + length
    return None


def client_of(connect: bytes) -> tuple[str, int]:
    """Return the client id and the protocol version of a CONNECT packet (MQTT 5, 3.1)."""
    start = 2
    while connect[start - 1] & 0x80:
        start += 1
    name = 2 + int.from_bytes(connect[start : start + 2], "big")
    version = connect[start + name]
    position = start + name + 4
    if version == _MQTT_5:
        position += packet_size(b"\0" + connect[position : position + 4]) or 2
        position -= 1
    size = int.from_bytes(connect[position : position + 2], "big")
    return connect[position + 2 : position + 2 + size].decode("utf-8", "replace"), version


class FaultyWire:
    """One connection's way from the broker to the client."""

    def __init__(self, board: FaultBoard, rude: Rude, write: Write, later: Later) -> None:
        """Ask ``board`` and ``rude``; ``write`` now or ``later`` (seconds)."""
        self._board = board
        self._rude = rude
        self._write = write
        self._later = later
        self._queue: deque[tuple[float, bytes]] = deque()
        self._is_waiting = False
        self._held: bytes | None = None
        self._sent = 0
        self.client_id = ""
        self.version = 4
        self.is_silent = False

    def connected(self, connect: bytes) -> None:
        """Learn who the client is."""
        self.client_id, self.version = client_of(connect)

    def send(self, packet: bytes) -> None:
        """Let a packet go as the faults have it."""
        kind = packet[0] >> 4
        self._become_silent(kind)
        if self.is_silent:
            return
        self._sent += 1
        if kind == _PUBLISH:
            self._publish(packet)
        else:
            self._pace(packet)
        if kind == _CONNACK:
            self._flood()

    def _become_silent(self, kind: int) -> None:
        withheld = kind == _CONNACK and self._board.take(WithholdConnack, self.client_id)
        half_open = self._board.take(
            HalfOpen, self.client_id, lambda fault: fault.packets == self._sent
        )
        self.is_silent = self.is_silent or bool(withheld or half_open)

    def _publish(self, packet: bytes) -> None:
        mood = self._rude.for_message()
        reorder = self._board.take(Reorder, self.client_id)
        if (reorder or mood.reorder) and self._held is None:
            self._held = packet
            seconds = reorder.seconds if reorder else self._rude.latest_seconds
            self._later(seconds, self._release)
            return
        if mood.seconds:
            self._later(mood.seconds, lambda: self._pace(packet))
        else:
            self._pace(packet)
        twice = self._board.take(Duplicate, self.client_id)
        if twice or mood.duplicate:
            self._later(twice.seconds if twice else 0.0, lambda: self._pace(packet))
        self._release()

    def _release(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            self._pace(held)

    def _flood(self) -> None:
        flood = self._board.take(Flood, self.client_id)
        if flood:
            packet = publish_packet(flood.topic, bytes(flood.bytes), self.version)
            for _message in range(flood.messages):
                self._pace(packet)

    def _pace(self, packet: bytes) -> None:
        if self.is_silent:
            return
        stall = self._board.take(Stall, self.client_id)
        if stall:
            self._queue.append((stall.seconds, b""))
        slow = self._board.take(Slow, self.client_id)
        if slow:
            size = max(1, slow.bytes_per_second // _CHUNKS_PER_SECOND)
            pause = size / slow.bytes_per_second
            parts = [packet[start : start + size] for start in range(0, len(packet), size)]
            self._queue.extend((pause, part) for part in parts)
        else:
            self._queue.append((0.0, packet))
        if not self._is_waiting:
            self._flush()

    def _flush(self) -> None:
        self._is_waiting = False
        while self._queue:
            seconds, part = self._queue.popleft()
            if part:
                self._write(part)
            if seconds:
                self._is_waiting = True
                self._later(seconds, self._flush)
                return


def publish_packet(topic: str, payload: bytes, version: int) -> bytes:
    """Return a PUBLISH of QoS 0."""
    name = topic.encode()
    body = len(name).to_bytes(2, "big") + name + (b"\0" if version == _MQTT_5 else b"") + payload
    length, rest = b"", len(body)
    while True:
        rest, low = divmod(rest, 128)
        length += bytes([low | (0x80 if rest else 0)])
        if not rest:
            return bytes([_PUBLISH << 4]) + length + body


class _FaultyReader:
    """The broker's reader: it hears who the client is, and nothing once the wire is dead."""

    def __init__(self, reader: Any, wire: FaultyWire) -> None:
        self._reader = reader
        self._wire = wire
        self._packets: Packets | None = Packets()

    async def read(self, size: int) -> bytes:
        data: bytes = await self._reader.read(size)
        while self._wire.is_silent and data:
            data = await self._reader.read(size)
        for packet in self._packets.feed(data) if self._packets else ():
            self._packets = None
            if packet[0] >> 4 == _CONNECT:
                self._wire.connected(packet)
            break
        return data


class _FaultyWriter:
    """The broker's writer, whose packets meet the faults."""

    def __init__(self, writer: Any, wire: FaultyWire) -> None:
        self._writer = writer
        self._wire = wire
        self._packets = Packets()

    def write(self, data: bytes) -> None:
        for packet in self._packets.feed(data):
            self._wire.send(packet)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)


def inject_into_wire(iot: Seam, board: FaultBoard, rude: Rude) -> None:
    """Let every connection of the broker of ``iot`` meet the faults of ``board``."""
    serve: Callable[[Any, Any], Awaitable[None]] = iot["_mtls_serve_conn"]

    async def serve_conn(reader: Any, writer: Any) -> None:
        def write(data: bytes) -> None:
            if not writer.is_closing():
                writer.write(data)

        wire = FaultyWire(board, rude, write, asyncio.get_running_loop().call_later)
        await serve(_FaultyReader(reader, wire), _FaultyWriter(writer, wire))

    iot["_mtls_serve_conn"] = serve_conn
