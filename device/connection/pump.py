"""Passes the bytes of many connections on in one thread, for a program of many devices.

A `Relay` alone has two threads of its own; a thousand would spend the time waiting for each other.
Nothing is decided here: what passes is told to the relay, piece by piece, as its own threads would.
"""

import selectors
import socket
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

_CHUNK: Final = 65_536
_MOST_PENDING: Final = 131_072
"""Bytes that one side has not taken yet; until it does, the other is not read."""
Note = Callable[[bytes], bool]
"""Is told what passes, before it does; false to end the way there."""


@dataclass
class Way:
    """One direction of one connection."""

    source: socket.socket
    sink: socket.socket
    note: Note
    ended: Callable[[], None] = lambda: None
    pending: bytearray = field(default_factory=bytearray)
    is_read_out: bool = False
    is_over: bool = False

    @property
    def wants_more(self) -> bool:
        """Whether the source is to be read."""
        return not self.is_read_out and len(self.pending) < _MOST_PENDING

    def read(self) -> None:
        """Take what the source has."""
        try:
            data = self.source.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data or not self.note(data):
            self.is_read_out = True
        else:
            self.pending += data
        self.write()

    def write(self) -> None:
        """Give the sink what it takes; at the end, tell it that there is no more."""
        try:
            while self.pending:
                del self.pending[: self.sink.send(self.pending)]
        except BlockingIOError:
            return
        except OSError:
            self.pending.clear()
            self.is_read_out = True
        if self.is_read_out and not self.is_over:
            self.is_over = True
            with suppress(OSError):
                self.sink.shutdown(socket.SHUT_WR)
            self.ended()


class Pump:
    """One thread that passes on what comes, until the process ends."""

    def __init__(self) -> None:
        """Start the thread."""
        self._selector: Final = selectors.DefaultSelector()
        self._new: Final[deque[tuple[Way, Way]]] = deque()
        self._wake, self._woken = socket.socketpair()
        self._woken.settimeout(0.0)
        self._selector.register(self._woken, selectors.EVENT_READ)
        threading.Thread(target=self._run, name="firstboot-pump", daemon=True).start()

    def carry(self, there: Way, back: Way) -> None:
        """Pass on both ways of a connection from now on, and close its sockets at the end."""
        for side in (there.source, there.sink):
            side.settimeout(0.0)
        self._new.append((there, back))
        self._wake.send(b"\0")

    def _run(self) -> None:
        while True:
            for key, mask in self._selector.select():
                if key.data is None:
                    self._take_new()
                else:
                    self._serve(key.data, key.fileobj, mask)

    def _take_new(self) -> None:
        with suppress(BlockingIOError):
            self._woken.recv(_CHUNK)
        while self._new:
            self._watch(self._new.popleft())

    def _serve(self, ways: tuple[Way, Way], side: object, mask: int) -> None:
        for way in ways:
            if way.sink is side and mask & selectors.EVENT_WRITE:
                way.write()
            if way.source is side and mask & selectors.EVENT_READ and way.wants_more:
                way.read()
        self._watch(ways)

    def _watch(self, ways: tuple[Way, Way]) -> None:
        """Watch for what can be done next; close both sides when nothing can."""
        if all(way.is_over for way in ways):
            for side in (ways[0].source, ways[0].sink):
                self._set(side, 0, ways)
                side.close()
            return
        for side in (ways[0].source, ways[0].sink):
            reads = any(way.source is side and way.wants_more for way in ways)
            writes = any(way.sink is side and way.pending for way in ways)
            self._set(side, selectors.EVENT_READ * reads | selectors.EVENT_WRITE * writes, ways)

    def _set(self, side: socket.socket, events: int, ways: tuple[Way, Way]) -> None:
        is_known = side in self._selector.get_map()
        if not events and is_known:
            self._selector.unregister(side)
        elif events and not is_known:
            self._selector.register(side, events, ways)
        elif events and self._selector.get_key(side).events != events:
            self._selector.modify(side, events, ways)
