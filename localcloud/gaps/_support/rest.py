"""How a gap module serves operations of the REST API that MiniStack does not know."""

import base64
import binascii
import json
import re
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from localcloud.seam import Seam

_UNKNOWN_PATH: Final = b"Unsupported IoT path"
_LARGEST_PAGE: Final = 250  # botocore model, RegistryMaxResults
ItemT = TypeVar("ItemT")


@dataclass(frozen=True)
class Request:
    """One call: what stands in the variable parts of its path, in its query and in its body."""

    parts: Mapping[str, str]
    query: Mapping[str, str]
    body: Mapping[str, object]


class RefusedError(Exception):
    """Answers a call with an error of the AWS API."""

    def __init__(self, code: str, message: str, status: int = 400, **fields: str) -> None:
        """Name AWS's exception ``code``, its HTTP ``status`` and its further ``fields``."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.fields = fields


def invalid_template(reason: str) -> RefusedError:
    """Return AWS's refusal of a template that is sent along with a request."""
    return RefusedError("InvalidRequestException", f"Invalid registration template. {reason}")


Answer = Mapping[str, object]
Operation = Callable[[Request], Awaitable[Answer]]
Response = tuple[int, dict[str, str], bytes]


def is_unserved(iot: Seam, method: str, path: str) -> bool:
    """Whether MiniStack answers ``method path`` as it answers any path it does not know."""
    call: Coroutine[Any, Any, Response] = iot["_route_request"](method, path, {}, b"{}", {})
    try:
        call.send(None)
    except StopIteration as done:
        response: Response = done.value
        return _UNKNOWN_PATH in response[2]
    call.close()
    return False  # it waits for something: it is busy with the call


def serve(iot: Seam, operations: Mapping[str, Operation], entry: str = "_route_request") -> None:
    """Answer ``operations``, keyed like ``GET /things/{name}``, before MiniStack looks.

    ``entry`` is the function of ``iot``, a service of MiniStack, that gets every request.
    """
    routes = [(*_pattern(key), operation) for key, operation in operations.items()]
    others: Callable[..., Awaitable[Response]] = iot[entry]

    async def route_request(
        method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]
    ) -> Response:
        for wanted, pattern, operation in routes:
            found = pattern.fullmatch(path) if wanted == method else None
            if found:
                request = Request(found.groupdict(), _query(query, headers), body_of(body))
                return await _answer(iot, operation, request)
        return await others(method, path, headers, body, query)

    iot[entry] = route_request


def arn_of(iot: Seam, resource: str) -> str:
    """Return the ARN of ``resource``, such as ``thing/a``, where the caller is."""
    return f"arn:aws:iot:{iot['get_region']()}:{iot['get_account_id']()}:{resource}"


def page(request: Request, items: Sequence[ItemT]) -> tuple[Sequence[ItemT], str | None]:
    """Return the part of ``items`` that was asked for, and the ``nextToken`` if more follow.

    Raises:
        RefusedError: ``maxResults`` or ``nextToken`` is none.
    """
    start = _position(request.query.get("nextToken", ""))
    size = request.query.get("maxResults", str(_LARGEST_PAGE))
    if not size.isdecimal() or not 0 < int(size) <= _LARGEST_PAGE:
        raise RefusedError("InvalidRequestException", f"maxResults {size} is not 1 to 250")
    end = start + int(size)
    return items[start:end], _token(end) if end < len(items) else None


def _pattern(key: str) -> tuple[str, re.Pattern[str]]:
    method, _, path = key.partition(" ")
    return method, re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path))


def _query(query: dict[str, Any], headers: dict[str, str]) -> dict[str, str]:
    # The one header that carries a member: AttachThingPrincipal, ListPrincipalThings.
    given = {name: values[0] for name, values in query.items()}
    principal = headers.get("x-amzn-principal")
    return {**given, "principal": principal} if principal else given


def body_of(body: bytes) -> dict[str, object]:
    """Return the members of a request's body; none of what is not a JSON object."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


async def _answer(iot: Seam, operation: Operation, request: Request) -> Response:
    try:
        answer: Response = iot["json_response"](await operation(request))
    except RefusedError as refused:
        answer = iot["error_response_json"](
            refused.code, refused.message, refused.status, extra=refused.fields
        )
    return answer


def _token(position: int) -> str:
    return base64.urlsafe_b64encode(f"localcloud:{position}".encode()).decode()


def _position(token: str) -> int:
    if not token:
        return 0
    try:
        return int(base64.urlsafe_b64decode(token).removeprefix(b"localcloud:"))
    except (binascii.Error, ValueError) as error:
        raise RefusedError("InvalidRequestException", "nextToken is invalid") from error
