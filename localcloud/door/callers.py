"""Callers that the local AWS refuses: web pages, and requests for another host.

A browser on this machine reaches loopback, whatever page it shows. What it sends for a page tells
itself by headers that no script can leave out or change (Fetch standard, "forbidden request
headers"; W3C Fetch Metadata): ``Origin``, and ``Sec-Fetch-Site`` with anything but ``none``, which
is an address that the user typed. A page whose name was rebound to 127.0.0.1 is of the same origin
for its browser; its name stands in ``Host``. AWS's own clients send none of the first two, and the
names that they were given as the third.

No page is meant to use this API, so no answer ever carries a CORS header.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

Headers = Sequence[tuple[bytes, bytes]]
LOOPBACK: Final = "127.0.0.1"
ADMIN: Final = "/_localcloud/"  # the paths of the admin API, on the HTTP port

_OWN_HOSTS: Final = (LOOPBACK, "localhost", "[::1]")
_OWN_DOMAIN: Final = ".localhost"  # RFC 6761: no name server may answer for it, so none can rebind
_HOST: Final = re.compile(r"(?P<name>\[[0-9a-f:]+\]|[a-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?")
_HTTP_PORT: Final = 80
_CORS: Final = b"access-control-"
_PREFLIGHT: Final = "OPTIONS"


def refusal(method: str, headers: Headers, port: int) -> str | None:
    """Return why a request to the API's ``port`` is refused unread, or None if it is not."""
    if method == _PREFLIGHT:
        return "OPTIONS is refused: no web page may use this API"
    return web_page(headers) or _other_host(_values(headers, b"host"), port)


def web_page(headers: Headers) -> str | None:
    """Return what tells that a browser sent ``headers`` for a web page, or None."""
    for name, value in headers:
        name = name.lower()  # noqa: PLW2901  (ASGI lowers them already, a raw request does not)
        if name == b"origin":
            return "a request with an Origin header is a web page's"
        if name == b"sec-fetch-site" and value.strip().lower() != b"none":
            return "Sec-Fetch-Site tells that a web page sent this request"
        if name == b"sec-fetch-mode" and value.strip().lower() not in {b"navigate", b""}:
            return "Sec-Fetch-Mode tells that a web page sent this request"
    return None


def without_cors(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the ``headers`` of an answer without those that let a web page read it."""
    return [(name, value) for name, value in headers if not name.lower().startswith(_CORS)]


def is_own_host(host: str, port: int) -> bool:
    """Whether ``host`` is a name of the API on ``port``: loopback, or any name of `.localhost`.

    Names of ``.localhost`` are the endpoints that DescribeEndpoint tells, and buckets as virtual
    hosts.
    """
    found = _HOST.fullmatch(host.lower())
    if found is None or int(found["port"] or _HTTP_PORT) != port:
        return False
    name = found["name"].removesuffix(".")
    return name in _OWN_HOSTS or (name.endswith(_OWN_DOMAIN) and ".." not in f".{name}")


def _other_host(hosts: Sequence[bytes], port: int) -> str | None:
    if len(hosts) == 1 and is_own_host(hosts[0].decode("latin-1"), port):
        return None
    return "Host is not a name of this local AWS"


def _values(headers: Headers, wanted: bytes) -> list[bytes]:
    return [value for name, value in headers if name.lower() == wanted]
