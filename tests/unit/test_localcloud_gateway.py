"""The ASGI application in front: what is ours, what is MiniStack's, and the order of a life."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from localcloud.errors import FaultError, PortInUseError
from localcloud.gateway import Gateway


class World:
    """A gateway between a recording cloud and recording admin paths."""

    def __init__(self, fails: Exception | None = None) -> None:
        self.log: list[object] = []
        self._fails = fails
        self.gateway = Gateway(
            self._cloud, self._admin, lambda: self.log.append("changed"), self._running
        )

    async def _cloud(self, scope: Any, receive: Any, send: Any) -> None:
        self.log.append(("cloud", scope.get("path", scope["type"])))
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            self.log.append("cloud saves")
            await send({"type": "lifespan.shutdown.complete"})

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
            sent.append(message)

        asyncio.run(self.gateway(scope, receive, send))  # type: ignore[arg-type]  # a plain dict
        return sent

    def http(self, method: str, path: str, *chunks: bytes, origin: bool = False) -> Any:
        headers = [(b"Origin", b"http://page")] if origin else [(b"host", b"x")]
        scope = {"type": "http", "method": method, "path": path, "headers": headers}
        messages = [
            {"type": "http.request", "body": chunk, "more_body": number < len(chunks)}
            for number, chunk in enumerate(chunks, start=1)
        ]
        return self.serve(scope, *(messages or [{"type": "http.request"}]))


LIFE = ({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})


def test_admin_paths_are_ours() -> None:
    world = World()
    start, body = world.http("POST", "/_localcloud/faults", b"ab", b"c")
    assert world.log == [("POST", "faults", b"abc")]
    assert start["status"] == 200
    assert json.loads(body["body"]) == {"done": True}


def test_other_paths_are_the_clouds() -> None:
    world = World()
    world.http("GET", "/things")
    assert world.log == [("cloud", "/things")]


@pytest.mark.parametrize(
    ("method", "changes"), [("GET", False), ("HEAD", False), ("POST", True), ("DELETE", True)]
)
def test_what_may_change_something_is_noted(method: str, *, changes: bool) -> None:
    world = World()
    world.http(method, "/things")
    assert ("changed" in world.log) == changes


def test_a_deliberate_error_is_a_400_with_a_next_step() -> None:
    start, body = World(FaultError("no such kind")).http("POST", "/_localcloud/faults", b"{}")
    assert start["status"] == 400
    assert json.loads(body["body"]) == {"error": "no such kind", "next_step": FaultError.next_step}


def test_web_pages_are_turned_away() -> None:
    world = World()
    start, _body = world.http("POST", "/_localcloud/reset", origin=True)
    assert start["status"] == 400
    assert world.log == []


def test_what_runs_beside_starts_after_the_cloud_and_ends_before_it_saves() -> None:
    world = World()
    sent = world.serve({"type": "lifespan"}, *LIFE)
    assert world.log == [("cloud", "lifespan"), "enter", "leave", "cloud saves"]
    assert [message["type"] for message in sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]


def test_a_start_that_fails_is_told_and_kept() -> None:
    failure = PortInUseError(8883, "process 1", "--mqtt-port")
    world = World(failure)
    sent = world.serve({"type": "lifespan"}, *LIFE)
    assert sent[0]["type"] == "lifespan.startup.failed"
    assert world.gateway.failure is failure
