"""The ASGI application in front: what is ours, what is MiniStack's, and the order of a life."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from localcloud.door.door import Answer, Door
from localcloud.errors import FAULT, PORT_IN_USE
from localcloud.process.gateway import Gateway

PORT = 4566


class World:
    """A gateway between a recording cloud and recording admin paths."""

    def __init__(self, fails: Exception | None = None, signed_by: str = "root") -> None:
        self.log: list[object] = []
        self._fails = fails
        self._signed_by = signed_by
        self.gateway = Gateway(
            self._cloud, self._admin, lambda: self.log.append("kept"), self._running
        )
        self.door = Door(self.gateway, PORT, self)

    async def _cloud(self, scope: Any, receive: Any, send: Any) -> None:
        self.log.append(("cloud", scope.get("path", scope["type"])))
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            self.log.append("cloud saves")
            await send({"type": "lifespan.shutdown.complete"})
        elif scope["type"] == "http":
            self.log.append((await receive())["body"])
            cors = [(b"Access-Control-Allow-Origin", b"*"), (b"etag", b"1")]
            await send({"type": "http.response.start", "status": 200, "headers": cors})

    def refusal(self, scope: Any, body: bytes, *, root_only: bool) -> Answer | None:
        allowed = ("root",) if root_only else ("root", "user")
        return None if self._signed_by in allowed else (403, {"x": "refused"}, b"")

    async def _admin(self, method: str, path: str, body: bytes) -> object:
        self.log.append((method, path, body))
        if self._fails:
            raise self._fails
        return {"done": True}

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        if self._fails:
            raise self._fails
        self.log.append("enter")
        yield
        self.log.append("leave")

    def serve(self, scope: dict[str, Any], *messages: dict[str, Any]) -> list[dict[str, Any]]:
        incoming = list(messages)
        sent: list[dict[str, Any]] = []

        async def receive() -> Any:
            return incoming.pop(0)

        async def send(message: Any) -> None:
            if not message["type"].startswith("lifespan"):
                self.log.append("sent")
            sent.append(message)

        asyncio.run(self.door(scope, receive, send))  # type: ignore[arg-type]  # a plain dict
        return sent

    def http(self, method: str, path: str, *chunks: bytes, **headers: str) -> Any:
        given = {"host": f"127.0.0.1:{PORT}", **headers}
        encoded = [(name.replace("_", "-").encode(), v.encode()) for name, v in given.items()]
        scope = {"type": "http", "method": method, "path": path, "headers": encoded}
        messages = [
            {"type": "http.request", "body": chunk, "more_body": number < len(chunks)}
            for number, chunk in enumerate(chunks, start=1)
        ]
        return self.serve(scope, *(messages or [{"type": "http.request"}]))


LIFE = ({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})


def test_admin_paths_are_ours() -> None:
    world = World()
    start, body = world.http("POST", "/_localcloud/faults", b"ab", b"c")
    assert ("POST", "faults", b"abc") in world.log
    assert start["status"] == 200
    assert json.loads(body["body"]) == {"done": True}


def test_other_paths_are_the_clouds_with_the_body_as_it_came() -> None:
    world = World()
    world.http("POST", "/things", b"ab", b"c")
    assert world.log[:2] == [("cloud", "/things"), b"abc"]


def test_what_changed_is_kept_before_the_answer() -> None:
    world = World()
    world.http("POST", "/things", b"{}")
    assert world.log == [("cloud", "/things"), b"{}", "kept", "sent", "kept"]


def test_no_answer_lets_a_web_page_read_it() -> None:
    (start,) = World().http("GET", "/things")
    assert start["headers"] == [(b"etag", b"1")]


def test_a_client_that_goes_away_in_the_middle_of_its_body_is_not_served() -> None:
    world = World()
    headers = [(b"host", f"127.0.0.1:{PORT}".encode())]
    scope = {"type": "http", "method": "POST", "path": "/things", "headers": headers}
    half = {"type": "http.request", "body": b"{", "more_body": True}
    assert world.serve(scope, half, {"type": "http.disconnect"}) == []
    assert world.log == []


# --- who is let in -------------------------------------------------------------------

PATHS = ("/", "/things", "/bucket/key", "/_localcloud/reset", "/_ministack/reset", "/nothing")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("headers", [
    {"origin": "http://page.example"},
    {"origin": "null"},
    {"sec_fetch_site": "cross-site"},
    {"sec_fetch_site": "same-site"},
    {"sec_fetch_site": "same-origin"},
    {"host": f"rebound.example:{PORT}"},
    {"host": "127.0.0.1"},
    {"host": ""},
])  # fmt: skip
def test_web_pages_and_other_hosts_are_refused_on_every_path(
    path: str, headers: dict[str, str]
) -> None:
    world = World()
    start, _body = world.http("POST", path, b"{}", **headers)
    assert (start["status"], world.log) == (403, ["sent", "sent"])


@pytest.mark.parametrize("path", PATHS)
def test_a_preflight_is_refused_on_every_path(path: str) -> None:
    start, _body = World().http("OPTIONS", path)
    assert (start["status"], names(start)) == (403, {b"content-type", b"content-length"})


@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_served_unsigned(path: str) -> None:
    world = World(signed_by="nobody")
    start, _body = world.http("GET", path)
    assert (start["status"], world.log) == (403, ["sent", "sent"])


@pytest.mark.parametrize("path", ["/_localcloud/reset", "/_ministack/reset", "/_aws/ses"])
def test_the_paths_of_the_local_aws_itself_need_the_roots_key(path: str) -> None:
    world = World(signed_by="user")
    assert world.http("POST", path)[0]["status"] == 403
    assert world.http("POST", "/things")[0]["status"] == 200


@pytest.mark.parametrize(("signed_by", "headers"), [
    ("nobody", [(b"host", b"localhost:4566")]),
    ("root", [(b"host", b"localhost:4566"), (b"origin", b"http://page.example")]),
    ("root", [(b"host", b"rebound.example:4566")]),
])  # fmt: skip
def test_a_websocket_is_refused_in_its_handshake(
    signed_by: str, headers: list[tuple[bytes, bytes]]
) -> None:
    world = World(signed_by=signed_by)
    scope = {"type": "websocket", "path": "/mqtt", "headers": headers}
    sent = world.serve(scope, {"type": "websocket.connect"})
    assert (sent, world.log) == ([{"type": "websocket.close", "code": 1008}], ["sent"])


def names(start: dict[str, Any]) -> set[bytes]:
    return {name for name, _value in start["headers"]}


# --- what goes wrong, and the order of a life ----------------------------------------


def test_a_deliberate_error_is_a_400_with_a_next_step() -> None:
    start, body = World(FAULT.error("no such kind")).http("POST", "/_localcloud/faults", b"{}")
    assert start["status"] == 400
    assert json.loads(body["body"]) == {
        "error": "no such kind",
        "code": "FB-910",
        "next_step": FAULT.next_step,
    }


def test_what_runs_beside_starts_after_the_cloud_and_ends_before_it_saves() -> None:
    world = World()
    sent = world.serve({"type": "lifespan"}, *LIFE)
    assert world.log == [("cloud", "lifespan"), "enter", "leave", "cloud saves"]
    assert [message["type"] for message in sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]


def test_a_start_that_fails_is_told_and_kept() -> None:
    failure = PORT_IN_USE.error(port=8883, owner="process 1", flag="--mqtt-port")
    world = World(failure)
    sent = world.serve({"type": "lifespan"}, *LIFE)
    assert sent[0]["type"] == "lifespan.startup.failed"
    assert world.gateway.failure is failure
