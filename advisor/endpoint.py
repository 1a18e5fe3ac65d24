"""The endpoint on a real network: TLS and TCP around the broker, a thread for each connection."""

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from advisor.broker import Broker, Close, Order, Send
from advisor.client_hello import needed, read_client_hello
from advisor.codec import MalformedError
from advisor.journal import Journal, What
from advisor.script import Script

_PEEK_SECONDS: Final = 10.0
_LONGEST_HELLO: Final = 16_389
_IDLE_SECONDS: Final = 3600.0

_Late = tuple[float, bytes | None]
"""When to send what; None: when to close."""


class Endpoint:
    """Plays one script to every client that connects to ``port``."""

    def __init__(
        self,
        script: Script,
        context: ssl.SSLContext,
        journal: Journal,
        clock: Callable[[], float],
        host: str = "127.0.0.1",
    ) -> None:
        """Listen; serve from the ``with`` statement on."""
        self._script: Final = script
        self._broker: Final = Broker(script, journal)
        self._turn: Final = threading.Lock()
        self._context: Final = context
        self._journal: Final = journal
        self._clock: Final = clock
        self._listener: Final = socket.create_server((host, 0), backlog=64)
        self._links: Final[list[tuple[socket.socket, threading.Thread]]] = []
        self.port: Final[int] = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join()
        for raw, thread in self._links:
            with suppress(OSError):  # it is closed already
                raw.shutdown(socket.SHUT_RDWR)
            thread.join()

    def _accept(self) -> None:
        link = 0
        while True:
            try:
                raw, _peer = self._listener.accept()
            except OSError:  # closed: the case is over
                return
            link += 1
            thread = threading.Thread(target=self._serve, args=(raw, link), daemon=True)
            self._links.append((raw, thread))
            thread.start()

    def _serve(self, raw: socket.socket, link: int) -> None:
        with raw, suppress(OSError):
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._note(What.OPENED, link)
            if link in self._script.dropped:
                self._note(What.CUT, link)
                return
            raw.settimeout(_PEEK_SECONDS)
            self._read_hello(raw, link)
            with self._shake_hands(raw, link) as stream:
                self._talk(stream, link)

    def _read_hello(self, raw: socket.socket, link: int) -> None:
        """Look at the ClientHello and leave it there."""
        seen = b""
        while len(seen) < min(needed(seen), _LONGEST_HELLO):
            wanted = min(needed(seen), _LONGEST_HELLO)
            seen = raw.recv(wanted, socket.MSG_PEEK | socket.MSG_WAITALL)
            if len(seen) < wanted:
                return
        with suppress(MalformedError):
            hello = read_client_hello(seen)
            self._journal.note(What.HELLO, self._clock(), link, hello=hello)

    def _shake_hands(self, raw: socket.socket, link: int) -> ssl.SSLSocket:
        raw.settimeout(_IDLE_SECONDS)
        try:
            stream = self._context.wrap_socket(raw, server_side=True)
        except ssl.SSLError as error:
            self._note(What.TLS_FAILED, link, error.reason or str(error))
            self._wait_until_closed(raw)
            raise
        except OSError as error:
            self._note(What.TLS_FAILED, link, f"closed by the client ({type(error).__name__})")
            raise
        own = "with" if stream.getpeercert(binary_form=True) else "without"
        said = f"{stream.version()}, {(stream.cipher() or ('?',))[0]}, {own} a client certificate"
        self._note(What.TLS_COMPLETE, link, said)
        return stream

    def _wait_until_closed(self, raw: socket.socket) -> None:
        """Closed at once, TCP could lose the alert."""
        raw.settimeout(_PEEK_SECONDS)
        with suppress(OSError):
            while raw.recv(4096):
                pass

    def _talk(self, stream: ssl.SSLSocket, link: int) -> None:
        with self._turn:
            self._broker.opened(link)
        late: list[_Late] = []
        try:
            while (data := self._next(stream, late)) or data is None:
                with self._turn:
                    orders = self._broker.received(link, data, self._clock()) if data else []
                if not self._perform(stream, orders, late):
                    with self._turn:
                        self._broker.cut(link, self._clock())
                    break
        except OSError:  # reset, or what is not TLS
            pass
        finally:
            with self._turn:
                self._broker.closed(link, self._clock())

    def _next(self, stream: ssl.SSLSocket, late: list[_Late]) -> bytes | None:
        """Return what comes next, nothing at the end, or None when something late is due."""
        due = min((moment for moment, _data in late), default=None)
        stream.settimeout(_IDLE_SECONDS if due is None else max(0.001, due - self._clock()))
        try:
            return stream.recv(65_536)
        except TimeoutError:
            return None

    def _perform(self, stream: ssl.SSLSocket, orders: list[Order], late: list[_Late]) -> bool:
        """Do the orders and what is due; return False if the connection is to be closed."""
        now = self._clock()
        for order in orders:
            match order:
                case Close(0.0):
                    return False
                case Close(delay):
                    late.append((now + delay, None))
                case Send(data, 0.0):
                    stream.sendall(data)
                case Send(data, delay):
                    late.append((now + delay, data))
        for moment, late_data in [each for each in late if each[0] <= now]:
            if late_data is None:
                return False
            stream.sendall(late_data)
            late.remove((moment, late_data))
        return True

    def _note(self, what: What, link: int, detail: str = "") -> None:
        self._journal.note(what, self._clock(), link, detail=detail)
