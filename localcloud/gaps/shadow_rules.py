"""A shadow's document keeps AWS's rules, and a refusal has AWS's words.

Developer guide, "Device Shadow error messages": ``state`` is an object with ``desired`` and
``reported``, each an object or null, and nothing else; ``version`` is a number and
``clientToken`` a string of 64 bytes at most. Quotas: 8 KB of state, 8 levels below desired or
reported, 64 characters of a shadow's name. An array's metadata has a timestamp for each element
("Device Shadow service documents", metadata). MiniStack takes any document and stamps an array
once. Which words go with the size and the name is ours.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from ministack.services import iot_data

from localcloud.seam import Seam

_SECTIONS: Final = ("desired", "reported")
_LARGEST: Final = 8192  # bytes of desired and reported, without metadata
_DEEPEST: Final = 8
_LONGEST_TOKEN: Final = 64  # bytes
_NAME: Final = re.compile(r"[$a-zA-Z0-9:_-]{0,64}")
_TOO_LARGE: Final = 413
_TOO_DEEP: Final = f"JSON contains too many levels of nesting; maximum is {_DEEPEST}"

Answer = tuple[int, dict[str, Any]]
Refusal = tuple[int, str]


def is_open(iot: Seam) -> bool:
    """Whether MiniStack still takes a section of the state that does not exist."""
    status: int = iot["update_thing_shadow"]("localcloud-probe", "", {"state": {"other": {}}})[0]
    iot["_shadows"].pop(("localcloud-probe", ""), None)
    return status == 200


def close(iot: Seam) -> None:
    """Check each update; stamp each element; name a missing shadow as AWS does."""
    _check_updates(iot)
    _stamp_elements(iot)
    _name_what_is_missing(iot)
    _refuse_too_large_over_http()


def _check_updates(iot: Seam) -> None:
    update: Callable[[str, str, object], Answer] = iot["update_thing_shadow"]
    merge: Callable[[dict[str, Any], Mapping[str, Any]], dict[str, Any]] = iot["_deep_merge"]
    parse: Callable[[bytes], object] = iot["parse_shadow_request"]

    def update_thing_shadow(thing: str, name: str, request: object) -> Answer:
        refusal = update_error(name, request) or _size_error(iot, thing, name, request)
        return (refusal[0], {"message": refusal[1]}) if refusal else update(thing, name, request)

    def deep_merge(base: dict[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
        return _without_nulls(merge(base, patch))

    def parse_shadow_request(payload: bytes) -> object:
        try:
            return parse(payload)
        except RecursionError as error:
            raise ValueError(_TOO_DEEP) from error

    iot["update_thing_shadow"] = update_thing_shadow
    iot["_deep_merge"] = deep_merge
    iot["parse_shadow_request"] = parse_shadow_request


def update_error(name: str, request: object) -> Refusal | None:
    """Return status and words of what is wrong with an update of the shadow ``name``."""
    if not _NAME.fullmatch(name):
        return 400, f"Invalid shadow name: {name[:80]}"
    if not isinstance(request, dict) or request.get("state") is None:
        return 400, "Missing required node: state"
    return _state_error(request["state"]) or _rest_error(request)


def _state_error(state: object) -> Refusal | None:
    if not isinstance(state, dict):
        return 400, "State node must be an object"
    for section, value in state.items():
        if section not in _SECTIONS:
            return 400, "State contains an invalid node"
        if value is not None and not isinstance(value, dict):
            return 400, f"{section.capitalize()} node must be an object"
        if _depth(value) > _DEEPEST:
            return 400, _TOO_DEEP
    return None


def _rest_error(request: Mapping[str, Any]) -> Refusal | None:
    version, token = request.get("version"), request.get("clientToken")
    if version is not None and (not isinstance(version, int) or isinstance(version, bool)):
        return 400, "Invalid version"
    if token is not None and (not isinstance(token, str) or len(token.encode()) > _LONGEST_TOKEN):
        return 400, "Invalid clientToken"
    return None


def _size_error(iot: Seam, thing: str, name: str, request: Any) -> Refusal | None:
    record = iot["_shadows"].get((thing, name)) or {}
    state = json.loads(json.dumps(record.get("state") or {}))
    for section, patch in request["state"].items():
        state[section] = iot["_deep_merge"](state.get(section) or {}, patch or {})
    largest = max(len(_compact(state)), len(_compact(request["state"])))
    if largest > _LARGEST:
        return _TOO_LARGE, "The payload exceeds the maximum size allowed"
    return None


def _compact(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def _depth(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0


def _without_nulls(base: dict[str, Any]) -> dict[str, Any]:
    for name, value in list(base.items()):
        if value is None:
            del base[name]
        elif isinstance(value, dict):
            _without_nulls(value)
    return base


def _stamp_elements(iot: Seam) -> None:
    def merge(base: dict[str, Any], patch: Mapping[str, Any], now: int) -> dict[str, Any]:
        for name, value in patch.items():
            if value is None:
                base.pop(name, None)
            elif isinstance(value, dict):
                kept = base.get(name)
                base[name] = merge(kept if isinstance(kept, dict) else {}, value, now)
            else:
                base[name] = metadata(value, now)
        return base

    iot["_build_metadata"] = metadata
    iot["_merge_metadata"] = merge
    iot["_metadata_for_delta"] = _delta_metadata


def metadata(state: object, now: int) -> Any:
    """Return the metadata of a part of the state that was set ``now``, in epoch seconds."""
    if isinstance(state, dict):
        return {name: metadata(value, now) for name, value in state.items()}
    if isinstance(state, list):
        return [metadata(value, now) for value in state]
    return {"timestamp": now}


def _delta_metadata(delta: Mapping[str, Any], desired: object) -> dict[str, Any]:
    known = desired if isinstance(desired, dict) else {}
    return {
        name: _delta_metadata(value, known.get(name)) if isinstance(value, dict) else known[name]
        for name, value in delta.items()
        if isinstance(value, dict) or name in known
    }


def _name_what_is_missing(iot: Seam) -> None:
    for operation in ("get_thing_shadow", "delete_thing_shadow"):
        iot[operation] = _naming(iot[operation])


def _naming(operation: Callable[[str, str], Answer]) -> Callable[[str, str], Answer]:
    def named(thing: str, name: str) -> Answer:
        status, document = operation(thing, name)
        if status == 404:
            shadow = f"{thing}~{name}" if name else thing
            document = {"message": f"No shadow exists with name: '{shadow}'"}
        return status, document

    return named


def _refuse_too_large_over_http() -> None:
    data = Seam(iot_data)
    error: Callable[..., object] = data["error_response_json"]

    def error_response(code: str, message: str, status: int = 400, **more: Any) -> object:
        if status == _TOO_LARGE:
            code = "RequestEntityTooLargeException"
        return error(code, message, status, **more)

    data["error_response_json"] = error_response
