"""A job execution that times out is noticed, and its device is told.

"notify ... is published when a job execution is added to or removed from the list of pending job
executions for a thing", and notify-next when the first of the list is another (developer guide,
"Jobs notifications"); TIMED_OUT removes it. MiniStack looks at the time when someone asks, and
then tells nobody. Here every second is looked at.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from localcloud.seam import Seam

_PERIOD_SECONDS: Final = 1.0
_PENDING: Final = ("QUEUED", "IN_PROGRESS")

Execution = dict[str, Any]


def is_open(iot: Seam) -> bool:
    """Whether MiniStack still sends no message."""
    return "jobs_notify_thing" not in iot["_jobs_apply_timeout"].__code__.co_names


def close(iot: Seam) -> Callable[[], None]:
    """Tell the device of each execution that times out.

    Returns:
        What begins to look.
    """
    apply: Callable[[Execution], Execution] = iot["_jobs_apply_timeout"]
    tasks: set[asyncio.Task[None]] = set()  # the loop keeps no reference of its own

    def keep(task: asyncio.Task[None]) -> None:
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def apply_timeout(execution: Execution) -> Execution:
        before = execution.get("status")
        first = _first_pending(iot, execution["thingName"]) if before == "IN_PROGRESS" else None
        after = apply(execution)
        if before == "IN_PROGRESS" and after["status"] == "TIMED_OUT":
            scope = (iot["get_account_id"](), iot["get_region"]())
            iot["_job_executions"][(execution["thingName"], execution["jobId"])] = execution
            keep(_soon(_notify(iot, *scope, execution["thingName"], first)))
        return after

    iot["_jobs_apply_timeout"] = apply_timeout
    return lambda: keep(_soon(_look_every_second(iot)))


def _soon(work: Any) -> asyncio.Task[None]:
    return asyncio.get_running_loop().create_task(work)


def _first_pending(iot: Seam, thing: str) -> str | None:
    pending = [
        execution
        for execution in iot["_job_executions"].values()
        if execution["thingName"] == thing and execution["status"] in _PENDING
    ]
    pending.sort(key=lambda execution: execution["queuedAt"])
    return pending[0]["jobId"] if pending else None


async def _notify(iot: Seam, account: str, region: str, thing: str, first: str | None) -> None:
    async with iot["publishing_events"]():
        await iot["jobs_notify_thing"](account, region, thing, first)


async def _look_every_second(iot: Seam) -> None:
    while True:
        await asyncio.sleep(_PERIOD_SECONDS)
        for (account, region, _key), execution in iot["_job_executions"].all_items():
            if execution["status"] == "IN_PROGRESS":
                with iot["request_scope"](account, region):
                    iot["_jobs_apply_timeout"](execution)
