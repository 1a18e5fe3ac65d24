"""A device's job requests over MQTT: numbers may be strings, and a wrong kind is answered.

AWS's own Python SDK v1 sends ``"executionNumber": "1"``, always did, and AWS IoT takes it
(reference: foreign-clients, D6). The fields are those of botocore's model of iot-jobs-data:
``executionNumber``, ``expectedVersion`` and ``stepTimeoutInMinutes`` are numbers,
``includeJobDocument`` and ``includeJobExecutionState`` are booleans, ``statusDetails`` a map of
strings, ``clientToken`` a string of 64 characters at most, and what is not is an InvalidRequest
(developer guide, "Jobs device MQTT API", ErrorCode). MiniStack finds no execution with the number
"1", and fails in silence on some wrong kinds.
"""

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from localcloud.seam import Seam

_NUMBERS: Final = ("executionNumber", "expectedVersion", "stepTimeoutInMinutes")
_FLAGS: Final = ("includeJobDocument", "includeJobExecutionState")
_DIGITS: Final = re.compile(r"-?[0-9]{1,18}")
_LONGEST_TOKEN: Final = 64
_LONGEST_STEP: Final = 10_080  # minutes

Handle = Callable[..., Awaitable[None]]
Request = dict[str, Any]


def is_open(iot: Seam) -> bool:
    """Whether MiniStack still compares the number as it was sent."""
    names = iot["_handle_jobs_publish"].__code__.co_names
    return not {"isdigit", "isdecimal", "_jobs_number"} & set(names)


def close(iot: Seam) -> None:
    """Read strings as numbers, and reject what is neither."""
    handle: Handle = iot["_handle_jobs_publish"]

    async def handle_jobs_publish(  # noqa: PLR0913, PLR0917  (MiniStack's)
        account: str, region: str, thing: str, verb: str, job: str | None, payload: bytes
    ) -> None:
        request = _parsed(payload)
        if request is None:  # MiniStack says that it is not a JSON object
            await handle(account, region, thing, verb, job, payload)
            return
        error = request_error(request)
        if error:
            topic = "/".join(part for part in ("$aws/things", thing, "jobs", job, verb) if part)
            rejected = _rejected(iot, request, error)
            await iot["broker_publish"](account, region, f"{topic}/rejected", rejected, 1)
            return
        numbers = json.dumps(numbered(request)).encode()
        await handle(account, region, thing, verb, job, numbers)

    iot["_handle_jobs_publish"] = handle_jobs_publish


def _parsed(payload: bytes) -> Request | None:
    try:
        request = json.loads(payload) if payload else {}
    except (ValueError, RecursionError):
        return None
    return request if isinstance(request, dict) else None


def numbered(request: Request) -> Request:
    """Return ``request`` with its numbers as numbers."""
    texts = {name: request[name] for name in _NUMBERS if isinstance(request.get(name), str)}
    return {**request, **{name: int(text) for name, text in texts.items()}}


def request_error(request: Request) -> str | None:
    """Say what in a request is of the wrong kind."""
    for name in _NUMBERS:
        value = request.get(name)
        if not (value is None or _is_number(value)):
            return f"{name} must be a number"
    minutes = request.get("stepTimeoutInMinutes")
    if minutes is not None and int(minutes) != -1 and not 0 < int(minutes) <= _LONGEST_STEP:
        return f"stepTimeoutInMinutes must be -1, or 1 to {_LONGEST_STEP}"
    for name in _FLAGS:
        if not isinstance(request.get(name, False), bool | None):
            return f"{name} must be true or false"
    token, status = request.get("clientToken"), request.get("status")
    if token is not None and not (isinstance(token, str) and 0 < len(token) <= _LONGEST_TOKEN):
        return f"clientToken must be a string of 1 to {_LONGEST_TOKEN} characters"
    if status is not None and not isinstance(status, str):
        return "status must be a string"
    return _details_error(request.get("statusDetails"))


def _is_number(value: object) -> bool:
    if isinstance(value, str):
        return _DIGITS.fullmatch(value) is not None
    return isinstance(value, int) and not isinstance(value, bool)


def _details_error(details: object) -> str | None:
    if details is None:
        return None
    if not isinstance(details, dict) or not all(isinstance(one, str) for one in details.values()):
        return "statusDetails must be a map of strings"
    return None


def _rejected(iot: Seam, request: Mapping[str, Any], error: str) -> bytes:
    token = request.get("clientToken")
    known = token if isinstance(token, str) else None
    return json.dumps(iot["_jobs_rejected"]("InvalidRequest", error, known)).encode()
