"""The step timer that a device sets for its job: ``stepTimeoutInMinutes``.

StartNextPendingJobExecution and UpdateJobExecution take it, over MQTT and HTTP, whether the job has
a ``timeoutConfig`` or not; -1 "will cancel the current step timer" (developer guide, "Jobs device
MQTT API"). MiniStack reads it in one of the four, UpdateJobExecution over HTTP, where -1 lets the
execution time out at once.
"""

import json
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, Final

from ministack.services import iot_jobs_data

from localcloud.seam import Seam

_NAME: Final = "stepTimeoutInMinutes"
_NO_TIMER: Final = -1
_asked: Final = ContextVar[int | None](_NAME, default=None)

Execution = dict[str, Any]


def is_open(iot: Seam) -> bool:
    """Whether MiniStack still reads no step timer over MQTT."""
    return _NAME not in iot["_handle_jobs_publish"].__code__.co_consts


def close(iot: Seam) -> None:
    """Let the request that is served now set the timer."""
    handle: Callable[..., Awaitable[None]] = iot["_handle_jobs_publish"]
    start: Callable[..., Execution | None] = iot["jobs_start_next_execution"]
    update: Callable[..., Any] = iot["jobs_update_execution"]
    data = Seam(iot_jobs_data)
    start_over_http: Callable[..., Any] = data["_start_next"]

    async def handle_jobs_publish(*place: Any) -> None:
        token = _asked.set(step_minutes(place[-1]))
        try:
            await handle(*place)
        finally:
            _asked.reset(token)

    def start_next(thing: str, request: Any, *, peek: bool) -> Any:
        token = _asked.set(request.get(_NAME))
        try:
            return start_over_http(thing, request, peek=peek)
        finally:
            _asked.reset(token)

    def start_next_execution(thing: str, *, peek: bool = False, **more: Any) -> Execution | None:
        execution = start(thing, peek=peek, **more)
        if execution is None or peek:
            return execution
        return _set_timer(iot, execution, _asked.get())

    def update_execution(*which: Any, step_timeout_minutes: int | None = None, **more: Any) -> Any:
        minutes = _asked.get() if step_timeout_minutes is None else step_timeout_minutes
        execution, error = update(*which, **more)
        if error is None and execution["status"] == "IN_PROGRESS":
            execution = _set_timer(iot, execution, minutes)
        return execution, error

    iot["_handle_jobs_publish"] = handle_jobs_publish
    iot["jobs_start_next_execution"] = start_next_execution
    iot["jobs_update_execution"] = update_execution
    data["_start_next"] = start_next


def step_minutes(payload: bytes) -> int | None:
    """Return the step timer that a request over MQTT asks for; a number may be a string."""
    try:
        return int(json.loads(payload)[_NAME])
    except (ValueError, RecursionError, KeyError, TypeError, OverflowError):
        return None  # none is asked for, or the request is rejected


def _set_timer(iot: Seam, execution: Execution, minutes: int | None) -> Execution:
    stored: Execution = iot["_job_executions"][(execution["thingName"], execution["jobId"])]
    if minutes == _NO_TIMER:
        stored.pop(_NAME, None)
        stored.pop("timeoutStartedAt", None)
    elif minutes is not None:
        stored[_NAME], stored["timeoutStartedAt"] = minutes, iot["_jobs_now_ms"]()
    return dict(stored)
