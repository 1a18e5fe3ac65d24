"""Serves the page and what it asks for, on loopback, to whoever has the address."""

import json
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Final
from urllib.parse import parse_qs, urlsplit

from localcloud.door.callers import LOOPBACK
from localcloud.page import story
from localcloud.page.feed import Feed
from localcloud.page.visitors import HEADERS, Door

_SECONDS: Final = 10.0
_TOKEN_BYTES: Final = 24
_NUMBER: Final = re.compile(r"[0-9]{1,15}")
FOLDER: Final = resources.files("localcloud.page").joinpath("files")
FILES: Final[Mapping[str, tuple[str, str]]] = {
    "": ("index.html", "text/html"),
    "page.css": ("page.css", "text/css"),
    "page.js": ("page.js", "text/javascript"),
    "icon.svg": ("icon.svg", "image/svg+xml"),
}
_STEPS: Final = {"claim": story.CLAIM_STEPS, "own": story.OWN_STEPS, "titles": story.TITLES}


class Handler(BaseHTTPRequestHandler):
    """Answers one visitor."""

    door: Door
    feed: Feed
    timeout = _SECONDS
    server_version = "localcloud"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer, or refuse; no other method is served."""
        found = self.door.path(self.path, self.headers.items())
        if isinstance(found, HTTPStatus):
            self._answer(found, "text/plain", f"{found.phrase}\n".encode())
        elif found in FILES:
            name, kind = FILES[found]
            self._answer(HTTPStatus.OK, kind, FOLDER.joinpath(name).read_bytes())
        elif found == "steps":
            self._answer(HTTPStatus.OK, "application/json", json.dumps(_STEPS).encode())
        elif found == "items":
            self._answer(HTTPStatus.OK, "application/json", json.dumps(self._items()).encode())
        else:
            self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"Not Found\n")

    def _items(self) -> object:
        asked = parse_qs(urlsplit(self.path).query)
        number, run = (asked.get(name, [""])[0] for name in ("after", "run"))
        return self.feed.after(run, int(number) if _NUMBER.fullmatch(number) else 0)

    def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        for name, value in {**HEADERS, "Content-Type": f"{kind}; charset=utf-8"}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing: the address has the token."""


@contextmanager
def serving(feed: Feed) -> Iterator[tuple[ThreadingHTTPServer, str]]:
    """Listen on a free port of 127.0.0.1; yield the server and its address."""
    with ThreadingHTTPServer((LOOPBACK, 0), Handler) as server:
        server.daemon_threads = True
        door = Door(server.server_port, secrets.token_urlsafe(_TOKEN_BYTES))
        server.RequestHandlerClass = type("PageHandler", (Handler,), {"door": door, "feed": feed})
        yield server, f"http://{LOOPBACK}:{door.port}/{door.token}/"
