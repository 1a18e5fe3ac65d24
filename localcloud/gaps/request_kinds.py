"""A request whose values are of the wrong kind is answered with the reason.

The API of AWS IoT is typed; what cannot be read as the member's type is refused before anything is
done, as a SerializationException with status 400. The types are those of botocore's model of
``iot``; the words are ours. MiniStack uses a value as it comes: a string where a
map belongs ends in a ``TypeError`` in its log, and an InternalFailure or nothing for the caller.
"""

import json
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from botocore.session import Session

from localcloud.gaps._support.rest import Response
from localcloud.seam import Seam

_KINDS: Final[Mapping[str, tuple[type, ...]]] = {
    "structure": (dict,),
    "map": (dict,),
    "list": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "double": (int, float),
    "float": (int, float),
    "timestamp": (int, float, str),
    "blob": (str,),
}
_WORDS: Final = {dict: "an object", list: "a list", str: "a string", bool: "true or false"}
_DEEPEST: Final = 50


@dataclass(frozen=True)
class _Route:
    method: str
    path: re.Pattern[str]
    shape: Any


def is_open(iot: Seam) -> bool:
    """Whether MiniStack still reads no model of its requests."""
    return "SerializationException" not in iot["_route_request"].__code__.co_consts


def close(iot: Seam) -> None:
    """Check the body of each request whose operation the model knows."""
    others: Callable[..., Awaitable[Response]] = iot["_route_request"]
    routes = list(_routes())

    async def route_request(
        method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]
    ) -> Response:
        error = _body_error(routes, method, path, body)
        if error:
            response: Response = iot["error_response_json"]("SerializationException", error, 400)
            return response
        return await others(method, path, headers, body, query)

    iot["_route_request"] = route_request


def _routes() -> Iterator[_Route]:
    model = Session().get_service_model("iot")
    for name in model.operation_names:
        operation = model.operation_model(name)
        uri = operation.http["requestUri"].partition("?")[0]
        pattern = re.compile(re.sub(r"\{\w+\+?\}", "[^/]+", uri))
        if operation.input_shape is not None:
            yield _Route(operation.http["method"], pattern, operation.input_shape)


def _body_error(routes: list[_Route], method: str, path: str, body: bytes) -> str | None:
    route = next((one for one in routes if one.method == method and one.path.fullmatch(path)), None)
    if route is None or not body.strip():
        return None
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return "the body is not JSON"
    if not isinstance(document, dict):
        return "the body must be an object"
    return kind_error(route.shape, document, "")


def kind_error(shape: Any, value: object, name: str, depth: int = 0) -> str | None:
    """Say which part of ``value`` is not of the kind that ``shape``, botocore's, asks for."""
    if value is None or depth > _DEEPEST:
        return None
    kinds = _KINDS.get(shape.type_name, (object,))
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        return f"{name} must be {_WORDS.get(kinds[0], 'a number')}, not {type(value).__name__}"
    errors = (
        kind_error(inner, part, f"{name}.{key}".lstrip("."), depth + 1)
        for inner, key, part in _parts(shape, value)
    )
    return next(filter(None, errors), None)


def _parts(shape: Any, value: Any) -> Iterator[tuple[Any, object, object]]:
    match shape.type_name:
        case "structure":
            for key, member in shape.members.items():
                where = member.serialization.get("location")
                if where is None and key in value:
                    yield member, key, value[key]
        case "map":
            for key, part in value.items():
                yield shape.value, key, part
        case "list":
            for index, part in enumerate(value):
                yield shape.member, index, part
