"""Bulk registration: five operations on tasks that register a thing for each line of a file.

StartThingRegistrationTask takes a template and names a file in S3, one JSON object of parameters
a line, and a role that may read it and do what the template asks; one task an account runs at a
time; the certificates are in the RESULTS report, what failed in ERRORS (developer guide, "Bulk
registration"; botocore model; docs/aws-iot-facts.md, 1.6 and 4.5). Not published, and chosen
here: a second task is refused as an invalid request; a role that may not read the file, and a
file that is not there, end the task as ``Failed``; the reports are there when it has ended. A
task continues where it was when the process was killed.
"""

import time
import uuid
from collections.abc import Callable
from typing import Final

from localcloud.gaps._support.registration import parse_template
from localcloud.gaps._support.registration_reports import report_links
from localcloud.gaps._support.registration_runner import CANCELLING, IN_PROGRESS, Runner, Task
from localcloud.gaps._support.rest import Answer, RefusedError, Request, is_unserved, page, serve
from localcloud.gaps._support.stores import Store, add_store
from localcloud.seam import Seam
from localcloud.settings import Settings

_PATH: Final = "/thing-registration-tasks"
_REQUIRED: Final = ("templateBody", "inputFileBucket", "inputFileKey", "roleArn")
_RUNNING: Final = (IN_PROGRESS, CANCELLING)
_OURS: Final = ("results", "errors", "done")
_REPORTS: Final = ("ERRORS", "RESULTS")


def is_open(iot: Seam) -> bool:
    """Whether MiniStack still does not know the path."""
    return is_unserved(iot, "POST", _PATH)


def close(iot: Seam, settings: Settings) -> Callable[[], None]:
    """Serve the operations; return what continues with tasks that a process left behind."""
    store = add_store(iot, "localcloud_registration_tasks")
    tasks = RegistrationTasks(iot, store, Runner(iot, store, settings))
    one = f"{_PATH}/{{taskId}}"
    serve(
        iot,
        {
            f"POST {_PATH}": tasks.start,
            f"GET {_PATH}": tasks.list,
            f"GET {one}": tasks.describe,
            f"PUT {one}/cancel": tasks.stop,
            f"GET {one}/reports": tasks.list_reports,
        },
    )
    return tasks.resume


class RegistrationTasks:
    """The operations, on a ``store`` of tasks and the ``runner`` that does them."""

    def __init__(self, iot: Seam, store: Store, runner: Runner) -> None:
        """Keep the tasks in ``store``, which is that of ``runner``."""
        self._iot = iot
        self._store = store
        self._runner = runner

    def resume(self) -> None:
        """Go on with every task that had not ended."""
        for (account, region, task_id), task in self._store.all_items():
            if task["status"] in _RUNNING:
                self._runner.start(account, region, task_id)

    async def start(self, request: Request) -> Answer:
        """StartThingRegistrationTask."""
        given = {name: request.body.get(name) for name in _REQUIRED}
        for name, value in given.items():
            if not isinstance(value, str) or not value:
                raise RefusedError("InvalidRequestException", f"{name} is required")
        parse_template(given["templateBody"])
        account, region = self._iot["get_account_id"](), self._iot["get_region"]()
        if any(self._runs_in(account, key, task) for key, task in self._store.all_items()):
            message = "A thing registration task is in progress; only one can run at a time."
            raise RefusedError("InvalidRequestException", message)
        task_id = str(uuid.uuid4())
        self._runner.save({**_new(task_id), **given})
        self._runner.start(account, region, task_id)
        return {"taskId": task_id}

    @staticmethod
    def _runs_in(account: str, key: tuple[str, str, str], task: Task) -> bool:
        return key[0] == account and task["status"] in _RUNNING

    async def list(self, request: Request) -> Answer:
        """ListThingRegistrationTasks, the latest first."""
        wanted = request.query.get("status")
        tasks = [task for task in self._store.values() if wanted in {None, task["status"]}]
        latest = sorted(tasks, key=lambda task: task["creationDate"], reverse=True)
        shown, token = page(request, [task["taskId"] for task in latest])
        return {"taskIds": list(shown), "nextToken": token}

    async def describe(self, request: Request) -> Answer:
        """DescribeThingRegistrationTask."""
        task = self._found(request)
        return {name: value for name, value in task.items() if name not in _OURS}

    async def stop(self, request: Request) -> Answer:
        """StopThingRegistrationTask; what is registered stays."""
        task = self._found(request)
        if task["status"] not in _RUNNING:
            message = f"Task {task['taskId']} is {task['status']}"
            raise RefusedError("InvalidRequestException", message)
        self._runner.save(task, status=CANCELLING)
        return {}

    async def list_reports(self, request: Request) -> Answer:
        """ListThingRegistrationTaskReports."""
        task = self._found(request)
        report_type = request.query.get("reportType", "")
        if report_type not in _REPORTS:
            raise RefusedError("InvalidRequestException", "reportType must be ERRORS or RESULTS")
        links, token = page(request, report_links(self._iot, task["taskId"], report_type))
        return {"resourceLinks": list(links), "reportType": report_type, "nextToken": token}

    def _found(self, request: Request) -> Task:
        task: Task | None = self._store.get(request.parts["taskId"])
        if task is None:
            message = f"Task {request.parts['taskId']} does not exist."
            raise RefusedError("ResourceNotFoundException", message, 404)
        return task


def _new(task_id: str) -> Task:
    counts = {"successCount": 0, "failureCount": 0, "percentageProgress": 0, "done": 0}
    lists: Task = {"results": [], "errors": []}
    started = {"creationDate": time.time(), "status": IN_PROGRESS}
    return {"taskId": task_id, **started, **counts, **lists}
