"""The ASGI application in front of MiniStack's: our admin paths, and the hooks of its life."""

import json
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from http import HTTPStatus
from typing import Any, Final

from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope

from localcloud.errors import LocalCloudError
from localcloud.ports import ADMIN

_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})

AdminHandler = Callable[[str, str, bytes], Awaitable[object]]
"""Takes the method, the path below ``/_localcloud/`` and the body; returns what JSON can say."""


class Gateway:
    """Serves ``/_localcloud/``; everything else is MiniStack's."""

    def __init__(
        self,
        cloud: ASGIFramework,
        admin: AdminHandler,
        note_change: Callable[[], None],
        running: Callable[[], AbstractAsyncContextManager[None]],
    ) -> None:
        """Wrap ``cloud``; ``running`` is entered when it has started and left before it stops."""
        self._cloud = cloud
        self._admin = admin
        self._note_change = note_change
        self._running = running
        self.failure: LocalCloudError | None = None

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        """Serve one connection, as ASGI has it."""
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
        elif scope["type"] == "http" and scope["path"].startswith(ADMIN):
            await self._serve_admin(scope, receive, send)
        else:
            await self._cloud(scope, receive, send)
            if scope["type"] == "http" and scope["method"] not in _SAFE_METHODS:
                self._note_change()

    async def _lifespan(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        async with AsyncExitStack() as running:

            async def receive_and_leave() -> Any:
                message = await receive()
                if message["type"] == "lifespan.shutdown":
                    await running.aclose()
                return message

            async def enter_and_send(message: Any) -> None:
                if message["type"] == "lifespan.startup.complete":
                    message = await self._enter(running, message)
                await send(message)

            await self._cloud(scope, receive_and_leave, enter_and_send)

    async def _enter(self, running: AsyncExitStack, message: Any) -> Any:
        try:
            await running.enter_async_context(self._running())
        except LocalCloudError as error:
            self.failure = error
            return {"type": "lifespan.startup.failed", "message": str(error)}
        return message

    async def _serve_admin(
        self, scope: Any, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        status, document = HTTPStatus.OK, None
        try:
            _refuse_browsers(scope["headers"])
            body = await _body(receive)
            document = await self._admin(scope["method"], scope["path"][len(ADMIN) :], body)
        except LocalCloudError as error:
            status = HTTPStatus.BAD_REQUEST
            document = {"error": str(error), "next_step": error.next_step}
        await _send_json(send, status, document)


def _refuse_browsers(headers: list[tuple[bytes, bytes]]) -> None:
    if any(name.lower() == b"origin" for name, _value in headers):
        raise LocalCloudError("the admin paths are not for web pages")


async def _body(receive: ASGIReceiveCallable) -> bytes:
    body = b""
    more = True
    while more:
        message: Any = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def _send_json(send: ASGISendCallable, status: HTTPStatus, document: object) -> None:
    body = json.dumps(document).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
