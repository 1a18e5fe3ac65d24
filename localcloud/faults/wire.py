"""Faults of the wire itself: what a client gets of what the broker sends, and when.

They are between the broker and TLS, and look at MQTT packets only as far as they must: where one
ends, of which kind it is, and who the client is. The broker knows nothing of them.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

from localcloud.broker.codec import MalformedError
from localcloud.broker.packets import Kind, Publish, connect_in, publish, whole
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

_CHUNKS_PER_SECOND: Final = 10

Write = Callable[[bytes], None]
Later = Callable[[float, Callable[[], None]], object]


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
        asked = connect_in(connect)
        if asked:
            self.client_id, self.version = asked.client_id, asked.version

    def send(self, packet: bytes) -> None:
        """Let a packet go as the faults have it."""
        kind = packet[0] >> 4
        self._become_silent(kind)
        if self.is_silent:
            return
        self._sent += 1
        if kind == Kind.PUBLISH:
            self._publish(packet)
        else:
            self._pace(packet)
        if kind == Kind.CONNACK:
            self._flood()

    def _become_silent(self, kind: int) -> None:
        withheld = kind == Kind.CONNACK and self._board.take(WithholdConnack, self.client_id)
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
            message = Publish(flood.topic, bytes(flood.bytes), 0, False, 0, {})  # noqa: FBT003
            packet = publish(self.version, message)
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


class _FaultyReader:
    """The broker's reader: it hears who the client is, and nothing once the wire is dead."""

    def __init__(self, reader: Any, wire: FaultyWire) -> None:
        self._reader = reader
        self._wire = wire
        self._begun = bytearray()
        self._is_begun = False

    async def read(self, size: int) -> bytes:
        data: bytes = await self._reader.read(size)
        while self._wire.is_silent and data:
            data = await self._reader.read(size)
        if not self._is_begun:
            self._begin(data)
        return data

    def _begin(self, data: bytes) -> None:
        self._begun += data
        with suppress(MalformedError):  # the broker will close
            for packet in whole(self._begun):
                self._is_begun = True
                self._wire.connected(packet)
                return


class _FaultyWriter:
    """The broker's writer, whose packets meet the faults."""

    def __init__(self, writer: Any, wire: FaultyWire) -> None:
        self._writer = writer
        self._wire = wire
        self._written = bytearray()

    def write(self, data: bytes) -> None:
        self._written += data
        for packet in whole(self._written):
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
