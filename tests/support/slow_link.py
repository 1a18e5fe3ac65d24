"""A link on loopback that lets a few bits a second through, for what a bad radio does to TLS."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from tests.support.hang import SECONDS, join

_PIECE: Final = 64
"""Bytes that arrive together."""


class SlowLink:
    """Passes on what clients and one server say to each other, each way at ``bits_a_second``."""

    def __init__(self, server: tuple[str, int], bits_a_second: int) -> None:
        """Listen on a port of its own."""
        self._server: Final = server
        self._bits_a_second: Final = bits_a_second
        self._listener: Final = socket.create_server(("127.0.0.1", 0))
        self.port: Final[int] = self._listener.getsockname()[1]
        self._threads: Final[list[threading.Thread]] = []
        self._sockets: Final[list[socket.socket]] = []
        self._over: Final = threading.Event()

    def serve(self) -> None:
        """Take clients until `close`."""
        while not self._over.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._server, timeout=SECONDS)
            self._sockets.extend((client, server))
            for source, target in ((client, server), (server, client)):
                self._start(source, target)

    def close(self) -> None:
        """Take no more clients, and let nothing through."""
        self._over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self._sockets:  # close() would not wake a thread that reads
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        join(*self._threads)
        for each in self._sockets:
            each.close()

    def _start(self, source: socket.socket, target: socket.socket) -> None:
        source.settimeout(SECONDS)
        thread = threading.Thread(target=self._pass_on, args=(source, target), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(_PIECE):
                if self._over.wait(8 * len(piece) / self._bits_a_second):
                    break
                target.sendall(piece)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)


@contextmanager
def slow_link(server: tuple[str, int], bits_a_second: int) -> Iterator[SlowLink]:
    """Put a slow link before ``server``."""
    link = SlowLink(server, bits_a_second)
    serving = threading.Thread(target=link.serve, daemon=True)
    serving.start()
    try:
        yield link
    finally:
        link.close()
        join(serving)
