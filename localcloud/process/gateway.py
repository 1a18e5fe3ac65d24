"""The ASGI application in front of MiniStack's: our admin paths, and the hooks of its life.

What a request changed is on disk before its answer leaves.
"""

import json
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from http import HTTPStatus
from typing import Any, Final

from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope

from localcloud.door.callers import ADMIN
from localcloud.door.door import Receive, Send, answer, read_body
from localcloud.durable.watched import working
from localcloud.errors import LocalCloudError

_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})

AdminHandler = Callable[[str, str, bytes], Awaitable[object]]
"""Takes the method, the path below ``/_localcloud/`` and the body; returns what JSON can say."""


class Gateway:
    """Serves ``/_localcloud/``; everything else is MiniStack's."""

    def __init__(
        self,
        cloud: ASGIFramework,
        admin: AdminHandler,
        keep: Callable[[], None],
        running: Callable[[], AbstractAsyncContextManager[None]],
    ) -> None:
        """Wrap ``cloud``.

        ``keep`` brings every change to the disk and is called before an answer; ``running`` is
        entered when the cloud has started and left before it stops.
        """
        self._cloud: Any = cloud
        self._admin = admin
        self._keep = keep
        self._running = running
        self.failure: LocalCloudError | None = None

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        """Serve one connection, as ASGI has it."""
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
        else:
            with working(alters=scope.get("method", "GET") not in _SAFE_METHODS):
                await self._serve(scope, receive, self._keeping(send))
                self._keep()  # what it did after its answer

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"].startswith(ADMIN):
            await self._serve_admin(scope, receive, send)
        else:
            await self._cloud(scope, receive, send)

    def _keeping(self, send: Any) -> Send:
        """Return a ``send`` that answers only when what was changed is on disk."""

        async def keep_and_send(message: Any) -> None:
            self._keep()
            await send(message)

        return keep_and_send

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

    async def _serve_admin(self, scope: Any, receive: Receive, send: Send) -> None:
        status, document = HTTPStatus.OK, None
        try:
            body = await read_body(receive) or b""
            document = await self._admin(scope["method"], scope["path"][len(ADMIN) :], body)
        except LocalCloudError as error:
            status = HTTPStatus.BAD_REQUEST
            document = {"error": str(error), "code": error.code, "next_step": error.next_step}
        headers = {"content-type": "application/json"}
        await answer(send, status, headers, json.dumps(document).encode())
