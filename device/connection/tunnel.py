"""The way through an HTTP proxy: CONNECT, the login, and what a refusal of it means."""

import socket
import time
from typing import Final

from device.config.endpoint import Endpoint
from device.provisioning.events import ConnectFailed

PROBE_SECONDS: Final = 5.0
_MAX_HEAD: Final = 16_384
_OPENED: Final = "200"
_LOGIN_WANTED: Final = "407"  # RFC 9110, 15.5.8


class TunnelRefusedError(OSError):
    """The proxy answered, and does not open the way."""

    def __init__(self, endpoint: Endpoint, status: str) -> None:
        """Keep the ``status`` of its answer, empty where that is not HTTP."""
        super().__init__(f"the proxy {endpoint.proxy} refused it")
        self.endpoint = endpoint
        self.status = status

    @property
    def event(self) -> ConnectFailed:
        """What was seen, and what to do about it."""
        wanted, proxy = self.endpoint, self.endpoint.first_hop
        if self.status == _LOGIN_WANTED and proxy.login is None:
            detail = f"the proxy {proxy} requires a user name and a password (407)"
            step = "Set proxy, or DEVICE_PROXY, to http://USER:PASSWORD@HOST:PORT (@ as %40)."
            return ConnectFailed(detail, step)
        if self.status == _LOGIN_WANTED:
            detail = f"the proxy {proxy} does not accept the user name and password it got (407)"
            step = "Correct USER and PASSWORD in proxy or DEVICE_PROXY (Basic authentication only)."
            return ConnectFailed(detail, step)
        answer = self.status or "no HTTP"
        return ConnectFailed(
            f"{wanted}: {self} (answer: {answer})",
            "Ask the proxy's operator to allow CONNECT to this name and port.",
        )


def way_to(endpoint: Endpoint, seconds: float = PROBE_SECONDS) -> socket.socket:
    """Open a connection on which TLS with ``endpoint`` can begin; each hop may take ``seconds``.

    Raises:
        OSError: the first hop was not reached, or is a proxy that does not open the way.
    """
    hop = endpoint.first_hop
    raw = socket.create_connection((hop.host, hop.port), seconds)
    if endpoint.proxy is not None:
        try:
            _have_opened(raw, endpoint, endpoint.proxy, time.monotonic() + seconds)
        except OSError:
            raw.close()
            raise
        raw.settimeout(seconds)
    return raw


def _have_opened(raw: socket.socket, endpoint: Endpoint, proxy: Endpoint, until: float) -> None:
    """Ask an HTTP proxy for a tunnel (RFC 9110, 9.3.6)."""
    lines = [f"CONNECT {endpoint} HTTP/1.1", f"Host: {endpoint}"]
    if proxy.login is not None:
        lines.append(f"Proxy-Authorization: {proxy.login.basic}")
    raw.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
    head = b""
    while not head.endswith(b"\r\n\r\n") and len(head) < _MAX_HEAD:
        raw.settimeout(max(0.001, until - time.monotonic()))
        if not (byte := raw.recv(1)):
            break
        head += byte
    status = head.split(b" ")[1:2]
    number = status[0].decode() if status and status[0].isdigit() and len(status[0]) == 3 else ""
    if number != _OPENED:
        raise TunnelRefusedError(endpoint, number)
