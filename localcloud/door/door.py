"""The door of the HTTP port: it refuses a caller before anything is done.

In this order: the request is not a web page's and means this server (`callers`); it is signed, and
for the paths of the local AWS itself with the root's key (`Signatures`). No answer that leaves lets
a web page read it.
"""

import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final, Protocol

from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope

from localcloud.door import callers
from localcloud.door.callers import ADMIN

_INTERNAL: Final = (ADMIN, "/_ministack", "/_localstack", "/_aws")  # of no service of AWS
_POLICY_VIOLATION: Final = 1008  # RFC 6455, 7.4.1

Answer = tuple[int, dict[str, str], bytes]
Send = Callable[[Any], Awaitable[None]]
Receive = Callable[[], Awaitable[Any]]


class Signatures(Protocol):
    """Tells whether a request has a valid signature of an allowed caller."""

    def refusal(self, scope: Any, body: bytes, *, root_only: bool) -> Answer | None:
        """Return what to answer in place of serving the request, or None."""


class Door:
    """Passes allowed requests to ``application``."""

    def __init__(self, application: ASGIFramework, port: int, signatures: Signatures) -> None:
        """Stand before ``application``, which is served on ``port``."""
        self._application: Any = application
        self._port = port
        self._signatures = signatures

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        """Serve one connection, as ASGI has it."""
        if scope["type"] == "lifespan":
            await self._application(scope, receive, send)
        elif scope["type"] == "http":
            await self._serve_http(scope, receive, send)
        else:
            await self._serve_websocket(scope, receive, send)

    async def _serve_http(self, scope: Any, receive: Receive, send: Send) -> None:
        stranger = callers.refusal(scope["method"], scope["headers"], self._port)
        if stranger:
            await _refuse(send, stranger)
            return
        body = await read_body(receive)
        if body is None:
            return
        internal = scope["path"].startswith(_INTERNAL)
        refused = self._signatures.refusal(scope, body, root_only=internal)
        if refused:
            await answer(send, *refused)
        else:
            await self._application(scope, _replaying(body, receive), _without_cors(send))

    async def _serve_websocket(self, scope: Any, receive: Receive, send: Send) -> None:
        stranger = callers.refusal("GET", scope["headers"], self._port)
        if stranger or self._signatures.refusal(scope, b"", root_only=False):
            await receive()
            # Sent before the handshake is accepted, it becomes HTTP 403.
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
            return
        await self._application(scope, receive, _without_cors(send))


async def read_body(receive: Receive) -> bytes | None:
    """Return the whole body, or None if the client went away before its end."""
    body = b""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def answer(send: Send, status: int, headers: dict[str, str], body: bytes) -> None:
    """Send one whole answer."""
    named = {**headers, "content-length": str(len(body))}
    listed = [
        (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in named.items()
    ]
    start = {"type": "http.response.start", "status": int(status)}
    await send({**start, "headers": callers.without_cors(listed)})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def _refuse(send: Send, reason: str) -> None:
    body = json.dumps({"error": reason, "next_step": "Use boto3, the AWS CLI or localcloud."})
    await answer(send, HTTPStatus.FORBIDDEN, {"content-type": "application/json"}, body.encode())


def _replaying(body: bytes, receive: Receive) -> Receive:
    """Return a ``receive`` that gives the ``body`` that was read, then what follows it."""
    whole = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Any:
        return whole.pop() if whole else await receive()

    return receive_again


def _without_cors(send: Send) -> Send:
    async def send_closed(message: Any) -> None:
        if "headers" in message:
            message = {**message, "headers": callers.without_cors(message["headers"])}
        await send(message)

    return send_closed
