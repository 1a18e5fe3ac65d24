"""Who may see the page: the browser of whoever was given its address, and nobody else.

The page is served beside the local AWS, whose own port stays closed to every page. The address has
a token that nobody can guess. A page of another site cannot read an answer, since none has a CORS
header, and its requests are refused unread: a browser says where they come from in headers that no
script can change (Fetch standard, "forbidden request headers"; W3C Fetch Metadata). A name rebound
to 127.0.0.1 stands in Host.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from localcloud.door.callers import is_own_host

HEADERS: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_OWN_SITES: Final = frozenset({"none", "same-origin"})  # typed by the user, or asked by the page


@dataclass(frozen=True)
class Door:
    """The rules of one page, served on ``port`` below ``/token/``."""

    port: int
    token: str

    def path(self, target: str, headers: list[tuple[str, str]]) -> str | HTTPStatus:
        """Return the path below the token, or the status that refuses the request."""
        if not self._is_own(headers):
            return HTTPStatus.FORBIDDEN
        _, _, rest = target.partition("?")[0].partition("/")
        token, _, path = rest.partition("/")
        if not hmac.compare_digest(token.encode("latin-1", "replace"), self.token.encode()):
            return HTTPStatus.NOT_FOUND
        return path

    def _is_own(self, headers: list[tuple[str, str]]) -> bool:
        def values(wanted: str) -> list[str]:
            return [value.strip().lower() for name, value in headers if name.lower() == wanted]

        hosts, origins = values("host"), values("origin")
        return (
            len(hosts) == 1
            and is_own_host(hosts[0], self.port)
            and all(origin == f"http://{hosts[0]}" for origin in origins)
            and _OWN_SITES.issuperset(values("sec-fetch-site"))
        )
