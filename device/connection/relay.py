"""The stretch of a connection that the device watches itself: from awscrt to the network.

awscrt reports the same error (1051, socket closed) wherever a connection is cut, before TLS is
complete and after, and takes a packet of any size into memory, although CONNECT announces a limit.
So awscrt connects to a port of this module on the loopback, as to an HTTP proxy, and the
bytes pass through. They stay encrypted; what is read are the headers of TLS records, and how
many bytes came. Whoever connects to the port without this connection's password is turned away.

What a closed connection looks like (awscrt 0.36, FIN and RST alike, TLS 1.2 and 1.3):

| the server closes | awscrt | `Relay.tls_complete` |
|---|---|---|
| at accept, after the ClientHello, amid its own part of the handshake | 1051 | no |
| after the handshake, or after CONNECT | 1051 | yes |
| the same, with close_notify, as AWS IoT Core closes | 5134 | yes |
| with a TLS alert, TLS 1.2 | 1029 | no |
| with a TLS alert at the ClientHello | 1029 | no |
| with a TLS alert at our certificate, TLS 1.3 | 1178, or 1031 while it sends CONNECT | yes |

In TLS 1.3 a server that closes instead of judging our certificate looks like one that refuses it.
A server that closes in the instant after the handshake, before awscrt has spoken, counts as a
fault of the network: that says less, and a refusal comes again.
"""

import os
import socket
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from contextlib import ExitStack, suppress
from errno import EAGAIN
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from device.connection.pump import Pump

LARGEST_PACKET: Final = 262_144
"""Bytes of one MQTT packet that CONNECT announces: AWS IoT sends at most 128 KiB of payload."""
_MOST_UNREAD: Final = 8 * 1_048_576
"""Bytes that came without a packet being complete. That is far more than one packet, since the
relay runs ahead: Linux lets up to 6 MiB wait in the socket that awscrt reads (tcp_rmem)."""
_SEND_BUFFER: Final = 131_072
_CHUNK: Final = 65_536
_RECORD_HEADER: Final = 5
_APPLICATION_DATA: Final = 23  # RFC 8446, 5.1
_ACCEPT_SECONDS: Final = 5.0
_JOIN_SECONDS: Final = 0.5
_LARGEST_HEAD: Final = 4_096


class RecordTypes:
    """Finds the types of the TLS records in a stream, however it is cut into pieces."""

    def __init__(self) -> None:
        """Begin with the first record."""
        self.seen: Final[set[int]] = set()
        self._header = b""
        self._body = 0

    def feed(self, data: bytes) -> None:
        """Read the next piece of the stream."""
        at = 0
        while at < len(data):
            if self._body:
                step = min(self._body, len(data) - at)
                self._body -= step
            else:
                step = min(_RECORD_HEADER - len(self._header), len(data) - at)
                self._header += data[at : at + step]
                self._begin_body()
            at += step

    def _begin_body(self) -> None:
        if len(self._header) == _RECORD_HEADER:
            self.seen.add(self._header[0])
            self._body = int.from_bytes(self._header[3:], "big")
            self._header = b""


class Relay:
    """Passes the bytes of one connection on, and watches them; nothing happens before `start`."""

    def __init__(self, open_way: Callable[[], socket.socket], pump: "Pump | None" = None) -> None:
        """Listen on the loopback; ``open_way`` connects to the endpoint, on a thread of ours.

        ``pump`` passes on the bytes of many relays; without one, this has two threads for that.
        """
        self._pump: Final = pump
        self._open_way: Final = open_way
        self._listener: Final = socket.create_server(("127.0.0.1", 0))
        self.port: Final = int(self._listener.getsockname()[1])
        """Where the client connects to."""
        self._near: socket.socket | None = None
        self._far: socket.socket | None = None
        self._client_records: Final = RecordTypes()
        self._unread = 0
        self._was_answered = False
        self._is_closed = False
        self._has_sent_all: Final = Event()
        self._thread: Final = Thread(target=self._run, daemon=True)
        self.password: Final = urlsafe_b64encode(os.urandom(16)).decode()
        """What the client has to say to be passed on, as the user ``firstboot``."""
        self.failure: OSError | None = None
        """Why the endpoint was not reached."""
        self.is_oversized = False
        """Whether the server began a packet that is larger than was announced."""

    @property
    def tls_complete(self) -> bool:
        """Whether the TLS handshake was complete, as far as a client can know.

        A client sends application data only when it has verified the server's Finished.
        """
        return _APPLICATION_DATA in self._client_records.seen

    @property
    def is_judging(self) -> bool:
        """Whether the client has something to judge the server by, and TLS is not complete."""
        return self._was_answered and not self.tls_complete

    @property
    def was_met(self) -> bool:
        """Whether the client came; until then it has nothing open that it would have to close."""
        return self._near is not None

    def start(self) -> None:
        """Wait for the client; the way to the endpoint is opened when it comes."""
        self._thread.start()

    def packet_read(self, size: int = 0) -> None:
        """Note that awscrt handed over a complete packet of ``size``; called on its thread."""
        self._unread = 0
        if size > LARGEST_PACKET:
            self._end_as_oversized()

    def _end_as_oversized(self) -> None:
        self.is_oversized = True
        _shut(self._far, socket.SHUT_RDWR)

    def lose_network(self) -> None:
        """Cut the connection on both sides, as a network that fails; thread-safe."""
        for side in (self._far, self._near):
            _shut(side, socket.SHUT_RDWR)

    def close(self, patience: float = 0.0) -> None:
        """Close both sides; a name that is being looked up is not waited for.

        ``patience``: how many seconds the last that the client sent, its DISCONNECT, may take.
        """
        if self._far is not None:
            self._has_sent_all.wait(patience)
        self._is_closed = True
        for side in (self._listener, self._near, self._far):
            _shut(side, socket.SHUT_RDWR)
        if self._thread.ident is not None:
            self._thread.join(_JOIN_SECONDS)
        self._listener.close()

    def _run(self) -> None:
        with suppress(OSError), ExitStack() as stack:
            self._near = near = stack.enter_context(self._accepted())
            self._listener.close()
            try:
                far = stack.enter_context(self._open_way())
            except OSError as error:
                self.failure = error
                near.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
                return
            self._far = far
            if self._pass_on(near, far):
                stack.pop_all()  # the pump closes them

    def _accepted(self) -> socket.socket:
        self._listener.settimeout(_ACCEPT_SECONDS)
        expected = b64encode(f"firstboot:{self.password}".encode())
        while True:
            client, _ = self._listener.accept()
            client.settimeout(_ACCEPT_SECONDS)
            with suppress(OSError):
                if expected in _head_of(client):
                    client.settimeout(None)
                    return client
            client.close()

    def _pass_on(self, near: socket.socket, far: socket.socket) -> bool:
        """Pass on what comes, until the end; true if the pump does so, from now on."""
        if self._is_closed:
            return False
        for side in (near, far):
            side.settimeout(None)
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        near.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        if self._pump is not None:
            self._hand_over(self._pump, near, far)
            return True
        upward = Thread(target=self._pump_up, args=(near, far), daemon=True)
        try:
            upward.start()
        except RuntimeError as error:  # no more threads
            self.failure = BlockingIOError(EAGAIN, str(error))
            return False
        self._pump_down(far, near)
        upward.join()
        return False

    def _hand_over(self, pump: "Pump", near: socket.socket, far: socket.socket) -> None:
        from device.connection.pump import Way  # noqa: PLC0415 - only a program of many devices has one

        def up(data: bytes) -> bool:
            _acknowledge(near)
            self._note_sent(data)
            return True

        there = Way(near, far, up, self._has_sent_all.set)
        pump.carry(there, Way(far, near, self._is_within_bounds))

    def _pump_up(self, near: socket.socket, far: socket.socket) -> None:
        with suppress(OSError):
            while data := _received(near):
                self._note_sent(data)
                far.sendall(data)
        _shut(far, socket.SHUT_WR)
        self._has_sent_all.set()

    def _pump_down(self, far: socket.socket, near: socket.socket) -> None:
        with suppress(OSError):
            while (data := far.recv(_CHUNK)) and self._is_within_bounds(data):
                near.sendall(data)
        _shut(near, socket.SHUT_WR)

    def _note_sent(self, data: bytes) -> None:
        """Look at what the client sends, until it is known that TLS is complete."""
        if not self.tls_complete:
            self._client_records.feed(data)

    def _is_within_bounds(self, data: bytes) -> bool:
        """Count what came; false if that is too much to pass on."""
        self._was_answered = True
        self._unread += len(data)
        if self._unread > _MOST_UNREAD:
            self._end_as_oversized()
        return not self.is_oversized


def _received(near: socket.socket) -> bytes:
    """Read what awscrt sent, and acknowledge it at once.

    awscrt's socket holds a small packet back until the one before is acknowledged (Nagle), and
    the kernel would wait 40 ms with that.
    """
    data = near.recv(_CHUNK)
    _acknowledge(near)
    return data


def _acknowledge(near: socket.socket) -> None:
    if hasattr(socket, "TCP_QUICKACK"):
        with suppress(OSError):
            near.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def _head_of(client: socket.socket) -> bytes:
    head = b""
    while not head.endswith(b"\r\n\r\n") and len(head) < _LARGEST_HEAD:
        part = client.recv(_LARGEST_HEAD)
        if not part:
            break
        head += part
    return head


def _shut(side: socket.socket | None, how: int) -> None:
    with suppress(OSError):
        if side is not None:
            side.shutdown(how)
