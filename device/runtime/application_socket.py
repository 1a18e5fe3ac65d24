"""The socket of an application's own program: lines of JSON in, lines of JSON out.

A thread reads, and tells the device's loop by an event; the loop takes all lines that came until
then, so that one commit is for all of them, and writes the answers. Of a program that says much at
once, the next line is read when an earlier one was answered. One
that does not read its answers is cut off.
"""

import logging
import selectors
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from device.operation.application import LARGEST, Answer, ApplicationLeft, ApplicationSaid, Line
from device.provisioning.events import Event
from device.runtime.claim_socket import listening_at

_log = logging.getLogger(__name__)

MOST_CLIENTS: Final = 8
MOST_UNANSWERED: Final = 32
"""So many lines of one program wait for their answers at most."""
LONGEST_LINE: Final = 2 * LARGEST
"""Bytes: base64 of the largest payload, and the topic."""
_CHUNK: Final = 65_536
_END, _GO_ON = b"x", b"."
_SEND_SECONDS: Final = 1.0
"""How long a program may take to read what the socket's buffer has no room for."""


@dataclass(eq=False)
class _Client:
    number: int
    connection: socket.socket
    content: bytearray = field(default_factory=bytearray, repr=False)
    unanswered: int = 0
    is_paused: bool = False


class ApplicationSocket:
    """A socket at ``path``, for its owner alone, until it is closed."""

    def __init__(self, path: Path, post: Callable[[Event], None]) -> None:
        """Listen, and give what programs say to ``post``.

        Raises:
            ConfigurationError: no socket can be made there.
        """
        self._path: Final = path
        self._post: Final = post
        self._lock: Final = threading.Lock()
        self._clients: Final[dict[int, _Client]] = {}
        self._said: Final[list[Line]] = []
        """What the loop has not taken yet."""
        self._last = 0
        self._server: Final = listening_at(path, "application.socket")
        self._selector: Final = selectors.DefaultSelector()
        self._selector.register(self._server, selectors.EVENT_READ)
        self._wake, self._woken = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._thread: Final = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def answer(self, order: Answer) -> None:
        """Write a line to a program, if it is still there."""
        client = self._noted(order)
        if client is None:
            return
        try:
            client.connection.sendall(order.payload + b"\n")
        except OSError:  # gone, or it does not read
            with suppress(OSError):  # the thread hears of it, and drops it
                client.connection.shutdown(socket.SHUT_RDWR)

    def _noted(self, order: Answer) -> _Client | None:
        """Return whom ``order`` is for; let it be read again if it said too much before."""
        with self._lock:
            client = self._clients.get(order.client)
            if client is not None and order.is_reply:
                client.unanswered -= 1
                if client.is_paused:
                    self._wake.send(_GO_ON)
        return client

    def _take_said(self) -> Sequence[Line]:
        with self._lock:
            said = self._said.copy()
            self._said.clear()
        return said

    def close(self) -> None:
        """Let all programs go, and remove the socket; closing twice does no harm."""
        if self._wake.fileno() < 0:
            return
        self._wake.send(_END)
        self._thread.join()
        for client in list(self._clients.values()):
            client.connection.close()
        for each in (self._selector, self._server, self._wake, self._woken):
            each.close()
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _serve(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._woken:
                    if _END in self._woken.recv(_CHUNK):
                        return
                    self._go_on()
                elif key.data is None:
                    self._accept()
                else:
                    self._read(key.data)

    def _accept(self) -> None:
        try:
            connection, _ = self._server.accept()
        except OSError:  # it is gone again
            return
        if len(self._clients) >= MOST_CLIENTS:
            _log.warning("a program was refused: %d are connected already", MOST_CLIENTS)
            connection.close()
            return
        connection.settimeout(_SEND_SECONDS)
        self._last += 1
        client = _Client(self._last, connection)
        with self._lock:
            self._clients[client.number] = client
        self._selector.register(connection, selectors.EVENT_READ, client)

    def _read(self, client: _Client) -> None:
        try:
            chunk = client.connection.recv(_CHUNK)
        except OSError:
            chunk = b""
        client.content += chunk
        self._post_lines(client)
        is_too_long = b"\n" not in client.content and len(client.content) > LONGEST_LINE
        if not chunk or is_too_long:
            self._drop(client)

    def _post_lines(self, client: _Client) -> None:
        """Give on what may be; of a client with more than that nothing is read for now."""
        with self._lock:
            room = MOST_UNANSWERED - client.unanswered
            *lines, rest = client.content.split(b"\n", room)
            client.unanswered += len(lines)
            client.content = rest
            must_wait = b"\n" in rest
            self._pause(client, is_paused=must_wait)
            is_told = bool(self._said)
            self._said.extend((client.number, bytes(line)) for line in lines)
        if lines and not is_told:
            self._post(ApplicationSaid(self._take_said))

    def _pause(self, client: _Client, *, is_paused: bool) -> None:
        if is_paused and not client.is_paused:
            self._selector.unregister(client.connection)
        elif client.is_paused and not is_paused:
            self._selector.register(client.connection, selectors.EVENT_READ, client)
        client.is_paused = is_paused

    def _go_on(self) -> None:
        for client in list(self._clients.values()):
            if client.is_paused:
                self._post_lines(client)

    def _drop(self, client: _Client) -> None:
        if not client.is_paused:
            self._selector.unregister(client.connection)
        with self._lock:
            del self._clients[client.number]
        client.connection.close()
        self._post(ApplicationLeft(client.number))
