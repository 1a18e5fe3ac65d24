"""The registration task in AWS: started, found again, followed to its end."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from factory.account.cloud import Cloud, Response, names, text
from factory.account.propagation import Sleep
from factory.bulk.progress import Progress
from factory.errors import ANOTHER_TASK_RUNS

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 2.0
"""Seconds between two looks at a task; the account's other tools have the same quota."""


class Status(StrEnum):
    """Of a task (AWS IoT API reference, DescribeThingRegistrationTask)."""

    IN_PROGRESS = "InProgress"
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELLED = "Cancelled"
    CANCELLING = "Cancelling"


_RUNNING: Final = (Status.IN_PROGRESS, Status.CANCELLING)


@dataclass(frozen=True)
class Job:
    """What a task is to do."""

    template_body: str
    bucket: str
    key: str
    role_arn: str


@dataclass(frozen=True)
class Ended:
    """How a task ended, in AWS's words."""

    task_id: str
    status: Status
    message: str


def find_task(cloud: Cloud, key: str) -> str | None:
    """Return the task that reads ``key``: it was started, and the answer was lost."""
    for task_id in _task_ids(cloud):
        task = cloud.call("iot", "DescribeThingRegistrationTask", taskId=task_id)
        if task.get("inputFileKey") == key:
            return task_id
    return None


def start_task(cloud: Cloud, job: Job) -> str:
    """Start the task and return its id."""
    started = cloud.call(
        "iot", "StartThingRegistrationTask", templateBody=job.template_body,
        inputFileBucket=job.bucket, inputFileKey=job.key, roleArn=job.role_arn,
    )  # fmt: skip
    return text(started, "taskId")


def wait_for_others(cloud: Cloud, progress: Progress, sleep: Sleep, *, wait: bool) -> None:
    """Return when no task runs: AWS runs one an account at a time.

    Raises:
        AnotherTaskRunsError: one does, and nobody wants to ``wait``.
    """
    said, pauses = "", _pauses()
    while task_id := _running(cloud):
        if not wait:
            raise ANOTHER_TASK_RUNS.error(task_id=task_id)
        if task_id != said:
            progress.say(f"waiting for task {task_id}: AWS runs one in an account at a time")
        said = task_id
        sleep(next(pauses))


def follow_task(cloud: Cloud, task_id: str, progress: Progress, sleep: Sleep) -> Ended:
    """Return when the task has ended, however it did."""
    pauses = _pauses()
    while True:
        task = cloud.call("iot", "DescribeThingRegistrationTask", taskId=task_id)
        progress.advance(_count(task, "successCount") + _count(task, "failureCount"))
        status = Status(text(task, "status"))
        if status not in _RUNNING:
            return Ended(task_id, status, str(task.get("message") or ""))
        sleep(next(pauses))


def _pauses() -> Iterator[float]:
    pause = _FIRST_PAUSE
    while True:
        yield pause
        pause = min(2 * pause, _LONGEST_PAUSE)


def _running(cloud: Cloud) -> str | None:
    return next((each for status in _RUNNING for each in _task_ids(cloud, status=status)), None)


def _task_ids(cloud: Cloud, **wanted: str) -> Iterator[str]:
    for page in cloud.pages("iot", "ListThingRegistrationTasks", **wanted):
        yield from names(page, "taskIds")


def _count(task: Response, key: str) -> int:
    return int(str(task.get(key) or 0))
