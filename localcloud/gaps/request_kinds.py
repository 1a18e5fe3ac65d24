"""A request whose values are of the wrong kind is answered with the reason.

The API of AWS IoT is typed; what cannot be read as the member's type is refused before anything is
done, as a SerializationException with status 400; a number out of its range, or a word that is
none of its enumeration, in the query is an InvalidRequestException. The types are those of
botocore's models of ``iot``, ``iot-data`` and ``iot-jobs-data``; the words are ours. MiniStack uses
a value as it comes: a string where a map belongs ends in a ``TypeError`` in its log, and an
InternalFailure or nothing for the caller; a page of ``abc`` things is all of them.
"""

import json
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final

from botocore.session import Session
from ministack.core import iam_actions
from ministack.services import iot_data, iot_jobs_data

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
_DIGITS: Final = re.compile(r"-?[0-9]{1,18}")
_WRONG_KIND: Final = "SerializationException"
_WRONG_VALUE: Final = "InvalidRequestException"


Refusal = tuple[str, str]
"""AWS's error code, and the reason."""


@dataclass(frozen=True)
class _Route:
    method: str
    path: re.Pattern[str]
    shape: Any


def is_open(iot: Seam) -> bool:
    """Whether MiniStack still reads no model of its requests."""
    return "SerializationException" not in iot["_route_request"].__code__.co_consts


def close(iot: Seam) -> None:
    """Check each request whose operation the model knows."""
    _check_requests("iot", iot, "_route_request")
    _check_requests("iot-data", Seam(iot_data), "handle_request")
    _check_requests("iot-jobs-data", Seam(iot_jobs_data), "handle_request")
    for module in (iot, Seam(iot_data), Seam(iam_actions)):
        _survive_nesting(module)


def _check_requests(service: str, of: Seam, entry: str) -> None:
    others: Callable[..., Awaitable[Response]] = of[entry]
    routes = list(_routes(service))

    async def handle(
        method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]
    ) -> Response:
        found = (one for one in routes if one.method == method and one.path.fullmatch(path))
        route = next(found, None)
        refused = route and (_text_refusal(route.shape, query, headers) or _body(route.shape, body))
        if refused:
            response: Response = of["error_response_json"](*refused, 400)
            return response
        return await others(method, path, headers, body, query)

    of[entry] = handle


def _survive_nesting(module: Seam) -> None:
    """Let MiniStack take what nests too deep to be read for what it knows: it is not JSON."""
    module["json"] = SimpleNamespace(**{**vars(json), "loads": _loads})


def _loads(text: str | bytes, **options: Any) -> object:
    try:
        return json.loads(text, **options)
    except RecursionError:
        raise json.JSONDecodeError("it nests too deep", "", 0) from None


def _routes(service: str) -> Iterator[_Route]:
    model = Session().get_service_model(service)
    operations = [model.operation_model(name) for name in model.operation_names]
    # A topic has slashes, and they arrive decoded: what matches nothing else may be one.
    for part in ("[^/]+", ".+"):
        for operation in operations:
            uri = operation.http["requestUri"].partition("?")[0]
            pattern = re.compile(re.sub(r"\\{\w+(\\\+)?\\}", part, re.escape(uri)))
            if operation.input_shape is not None:
                yield _Route(operation.http["method"], pattern, operation.input_shape)


def _text_refusal(
    shape: Any, query: Mapping[str, Any], headers: Mapping[str, str]
) -> Refusal | None:
    """Say what is wrong with a member that stands in the query or in a header."""
    given = {"querystring": query, "header": headers}
    for key, member in shape.members.items():
        where = member.serialization.get("location")
        name = member.serialization.get("name", key)
        if where in given and name in given[where] and member.type_name in _FROM_TEXT:
            texts = given[where][name]
            text = texts[0] if isinstance(texts, list) else texts
            value = _FROM_TEXT[member.type_name](text)
            error = kind_error(member, value, name)
            if error:
                return _WRONG_KIND, error
            error = _limit_error(member, value, name)
            if error:
                return _WRONG_VALUE, error
    return None


def _whole(text: str) -> object:
    return int(text) if _DIGITS.fullmatch(text) else text


def _flag(text: str) -> object:
    return {"true": True, "false": False}.get(text.lower(), text)


_FROM_TEXT: Final[Mapping[str, Callable[[str], object]]] = {
    "integer": _whole,
    "long": _whole,
    "boolean": _flag,
    "string": str,
}


def _limit_error(shape: Any, value: object, name: str) -> str | None:
    if shape.type_name == "string":
        enum = getattr(shape, "enum", None)
        return f"{name} must be one of {', '.join(enum)}" if enum and value not in enum else None
    least, most = (shape.metadata.get(one) for one in ("min", "max"))
    if isinstance(value, int) and least is not None and value < least:
        return f"{name} must be {least} or more"
    if isinstance(value, int) and most is not None and value > most:
        return f"{name} must be {most} or less"
    return None


def _body(shape: Any, body: bytes) -> Refusal | None:
    payload = shape.serialization.get("payload")
    shape = shape.members[payload] if payload else shape
    if shape.type_name != "structure" or not body.strip():
        return None  # a blob: a message, or a shadow's document
    error = _body_error(shape, body)
    return (_WRONG_KIND, error) if error else None


def _body_error(shape: Any, body: bytes) -> str | None:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return "the body is not JSON"
    if not isinstance(document, dict):
        return "the body must be an object"
    return kind_error(shape, document, "")


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
