"""A job execution that times out: the device is told, once, what was first before."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import SimpleNamespace
from typing import Any

from localcloud.gaps import job_timeouts
from localcloud.seam import Seam


class Executions(dict[Any, Any]):
    def all_items(self) -> list[Any]:
        return [(("1", "r", key), value) for key, value in self.items()]


@asynccontextmanager
async def publishing() -> AsyncIterator[None]:
    yield


@contextmanager
def scope(_account: str, _region: str) -> Iterator[None]:
    yield


def time_out(execution: dict[str, Any]) -> dict[str, Any]:
    """What MiniStack does once the time is over."""
    if execution["status"] == "IN_PROGRESS" and execution["over"]:
        execution["status"] = "TIMED_OUT"
    return execution


def execution(job: str, queued: int, status: str, *, over: bool = False) -> dict[str, Any]:
    return {"thingName": "t", "jobId": job, "queuedAt": queued, "status": status, "over": over}


def told_about(*executions: dict[str, Any]) -> list[tuple[Any, ...]]:
    told: list[tuple[Any, ...]] = []

    async def notify(*arguments: Any) -> None:
        told.append(arguments)

    cloud = SimpleNamespace(
        _job_executions=Executions({("t", one["jobId"]): one for one in executions}),
        _jobs_apply_timeout=time_out,
        get_account_id=lambda: "1",
        get_region=lambda: "r",
        request_scope=scope,
        publishing_events=publishing,
        jobs_notify_thing=notify,
    )

    async def look_twice() -> None:
        job_timeouts.close(Seam(cloud))
        for one in [*executions, *executions]:
            cloud._jobs_apply_timeout(one)
        await asyncio.sleep(0)

    asyncio.run(look_twice())
    return told


def test_the_device_is_told_once_with_what_was_first() -> None:
    first = execution("first", 1, "IN_PROGRESS", over=True)
    assert told_about(first, execution("second", 2, "QUEUED")) == [("1", "r", "t", "first")]


def test_nobody_is_told_of_what_goes_on() -> None:
    assert told_about(execution("first", 1, "IN_PROGRESS"), execution("other", 2, "FAILED")) == []
