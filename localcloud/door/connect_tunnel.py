"""The MQTT port is an HTTP proxy to itself, so that names which do not resolve can be dialled.

A device that dials ``<prefix>-ats.iot.<region>.localhost``
must send that name in TLS, and few systems resolve it. awscrt and most MQTT clients take an HTTP
proxy: ``CONNECT name:port`` goes to the proxy, and TLS follows on the same connection, whatever
the port. So the device needs ``DEVICE_ENDPOINT=<name>:8883`` and, as ``DEVICE_PROXY``, the address
of the MQTT port. Nothing is dialled from here: a name that is not ours is refused, and so is what a
browser sends for a web page.
"""

import asyncio
import re
import socket
from collections.abc import Callable
from typing import Final, cast

from localcloud.door.callers import web_page
from localcloud.seam import Seam

_FIRST: Final = b"C"  # of CONNECT; TLS starts with 0x16
_END: Final = b"\r\n\r\n"
_LONGEST_HEAD: Final = 8192  # bytes
_PATIENCE_SECONDS: Final = 60.0  # as long as asyncio gives a TLS handshake
_REQUEST: Final = re.compile(rb"CONNECT ([A-Za-z0-9.-]+):[0-9]{1,5} HTTP/1\.[01]\r\n")
_ACCEPTED: Final = b"HTTP/1.1 200 Connection established\r\n\r\n"
_REFUSED: Final = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
_OWN_NAMES: Final = ("localhost", "127.0.0.1")

Acceptor = Callable[[], asyncio.Protocol]
IsEndpoint = Callable[[str], bool]


def open_tunnel(iot: Seam, is_endpoint: IsEndpoint) -> None:
    """Look at the first byte before TLS starts; ``is_endpoint`` tells the names of accounts."""
    start_tls: Acceptor = iot["_MtlsAcceptor"]
    iot["_MtlsAcceptor"] = lambda: _Doorkeeper(start_tls, is_endpoint)


class _Doorkeeper(asyncio.Protocol):
    """Hands a connection over to TLS: at once, or after it has asked for a tunnel."""

    def __init__(self, start_tls: Acceptor, is_endpoint: IsEndpoint) -> None:
        self._start_tls = start_tls
        self._is_endpoint = is_endpoint
        self._admission: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Leave everything in the socket, since TLS must find it there."""
        stream = cast("asyncio.Transport", transport)  # what a TCP server makes
        stream.pause_reading()
        self._admission = asyncio.get_running_loop().create_task(self._admit(stream))

    async def _admit(self, transport: asyncio.Transport) -> None:
        # Python 3.11.2 reads all the same from a transport that was paused as it was made.
        transport.resume_reading()
        transport.pause_reading()
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                admitted = await _is_tls(transport) or await self._is_tunnel(transport)
        except OSError:  # the peer went away, or TimeoutError: it said nothing
            admitted = False
        if not admitted or transport.is_closing():
            transport.close()
            return
        protocol = self._start_tls()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)

    async def _is_tunnel(self, transport: asyncio.Transport) -> bool:
        head = b""
        with _own_socket(transport) as handle:
            while _END not in head:
                read = await asyncio.get_running_loop().sock_recv(handle, _LONGEST_HEAD - len(head))
                if not read:
                    return False
                head += read
        asked, headers = _REQUEST.match(head), _headers(head)
        hosts = [value.rpartition(b":")[0] or value for name, value in headers if name == b"host"]
        names = [asked[1] if asked else b"", *hosts]
        ours = all(map(self._is_ours, names)) and not web_page(headers)
        transport.write(_ACCEPTED if ours else _REFUSED)
        return ours

    def _is_ours(self, host: bytes) -> bool:
        name = host.decode("latin-1").lower()
        return name in _OWN_NAMES or self._is_endpoint(name)


def _own_socket(transport: asyncio.Transport) -> socket.socket:
    """Return a second handle of the connection, to read what the transport does not."""
    handle: socket.socket = transport.get_extra_info("socket").dup()
    handle.settimeout(0)  # never wait in the loop's thread
    return handle


async def _is_tls(transport: asyncio.Transport) -> bool:
    with _own_socket(transport) as handle:
        await _readable(handle)
        return handle.recv(1, socket.MSG_PEEK) != _FIRST


def _headers(head: bytes) -> list[tuple[bytes, bytes]]:
    parted = [line.partition(b":") for line in head.split(b"\r\n")[1:]]
    return [(name.strip().lower(), value.strip()) for name, _, value in parted]


async def _readable(handle: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_reader(handle, ready.set_result, None)
    try:
        await ready
    finally:
        loop.remove_reader(handle)
