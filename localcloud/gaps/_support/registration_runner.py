"""Runs one bulk registration, line by line, in the background; part of `registration_tasks`."""

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any, Final

from localcloud.gaps._support.registration import (
    Parameters,
    check_parameters,
    parse_template,
    register_thing,
)
from localcloud.gaps._support.registration_reports import Line, read_input, write_report
from localcloud.gaps._support.rest import RefusedError
from localcloud.gaps._support.stores import Store
from localcloud.seam import Seam
from localcloud.settings import Settings

IN_PROGRESS: Final = "InProgress"
CANCELLING: Final = "Cancelling"
_LOOK_SECONDS: Final = 0.02
_LONGEST_LINE: Final = 256 * 1024  # bytes, service quotas

Task = dict[str, Any]
"""The fields of DescribeThingRegistrationTask; ``results``, ``errors`` and ``done`` lines."""


class Runner:
    """Registers what tasks in ``store`` ask for."""

    def __init__(self, iot: Seam, store: Store, settings: Settings) -> None:
        """Take the pace from ``settings``."""
        self._iot = iot
        self._store = store
        self._settings = settings
        self._running: set[asyncio.Task[None]] = set()

    def start(self, account: str, region: str, task_id: str) -> None:
        """Begin, or continue with, a task; return at once."""
        run = asyncio.get_running_loop().create_task(self._run(account, region, task_id))
        self._running.add(run)
        run.add_done_callback(self._running.discard)

    async def _run(self, account: str, region: str, task_id: str) -> None:
        with self._iot["request_scope"](account, region):
            task: Task = self._store[task_id]
            try:
                await self._register_all(task, self._lines(task))
            except RefusedError as refused:
                ended: dict[str, object] = {"status": "Failed", "message": refused.message}
            else:
                cancelled = task["status"] == CANCELLING
                ended = {"status": "Cancelled" if cancelled else "Completed"}
            for report_type in ("results", "errors"):
                if task[report_type]:
                    write_report(self._iot, task_id, report_type, task[report_type])
            self.save(task, **ended)

    def save(self, task: Task, **changed: object) -> None:
        """Change ``task`` and note that it changed."""
        task.update(changed, lastModifiedDate=time.time())
        self._store[task["taskId"]] = task

    def _lines(self, task: Task) -> list[bytes]:
        bucket, key = task["inputFileBucket"], task["inputFileKey"]
        request = ("s3:GetObject", f"arn:aws:s3:::{bucket}/{key}")
        if not self._iot["_provisioning_role_allows"](task["roleArn"], [request]):
            message = f"The role {task['roleArn']} may not read s3://{bucket}/{key}"
            raise RefusedError("UnauthorizedException", message, 401)
        content = read_input(bucket, key)
        if content is None:
            raise RefusedError("InvalidRequestException", f"There is no s3://{bucket}/{key}")
        return content.splitlines(keepends=True)

    async def _register_all(self, task: Task, lines: list[bytes]) -> None:
        body = parse_template(task["templateBody"])
        offsets = _offsets(lines)
        for number, (offset, line) in enumerate(zip(offsets, lines, strict=True), start=1):
            if number <= task["done"] or not line.strip():
                continue
            await self._pause(task)
            if task["status"] != IN_PROGRESS:
                return
            position = {"lineNumber": number, "offset": offset}
            async with self._iot["publishing_events"]():
                await self._register(task, body, position, line)
            self.save(task, done=number, percentageProgress=100 * number // len(lines))

    async def _pause(self, task: Task) -> None:
        """Let a line's time pass, unless the task is stopped or the pace changed meanwhile."""
        started = time.monotonic()
        await asyncio.sleep(0)
        while (
            task["status"] == IN_PROGRESS
            and time.monotonic() - started < self._settings.registration_line_seconds
        ):
            await asyncio.sleep(_LOOK_SECONDS)

    async def _register(self, task: Task, body: Any, position: Line, line: bytes) -> None:
        try:
            made = await register_thing(self._iot, body, _parameters(line), task["roleArn"])
        except RefusedError as refused:
            error = {"errorCode": refused.code, "errorMessage": refused.message}
            task["errors"].append({**position, "statusCode": refused.status, **error})
            task["failureCount"] += 1
            return
        response = {"CertificatePem": made.certificate_pem, "ResourceArns": made.resource_arns}
        task["results"].append({**position, "response": response})
        task["successCount"] += 1


def _offsets(lines: list[bytes]) -> Iterator[int]:
    position = 0
    for line in lines:
        yield position
        position += len(line)


def _parameters(line: bytes) -> Parameters:
    if len(line) > _LONGEST_LINE:
        raise RefusedError("InvalidRequestException", "The line is longer than 256 KB")
    try:
        given = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RefusedError("InvalidRequestException", f"The line is not JSON: {error}") from error
    if not isinstance(given, dict):
        raise RefusedError("InvalidRequestException", "The line is not a JSON object")
    return check_parameters(given)
