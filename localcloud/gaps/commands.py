"""Commands: CreateCommand and its kin, StartCommandExecution, and what the device answers.

A device gets the payload on ``$aws/commands/things/THING/executions/ID/request/json`` (or
``clients/CLIENT``; ``cbor``, or no last part for another content type), and tells its status on
``.../response/json``, which is answered on ``.../response/accepted/json`` or ``rejected``
(developer guide, "Commands concepts and status", "Commands workflow", "Command execution
events"). CREATED becomes IN_PROGRESS and then SUCCEEDED, FAILED or REJECTED, which are final. After
``executionTimeoutSeconds``, 10 unless given, AWS IoT sets TIMED_OUT with the reason
``$NO_RESPONSE_FROM_DEVICE``; the device may still report, unless it said TIMED_OUT itself.
Payload templates with parameters are refused: they are not here. MiniStack has no commands.
"""

import asyncio
import base64
import json
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from uuid import uuid4

import cbor2
from ministack.services import iot_jobs_data

from localcloud.broker import codec
from localcloud.broker.codec import Property
from localcloud.gaps._support.command_registry import Commands, Record, invalid
from localcloud.gaps._support.command_status import (
    Update,
    UpdateError,
    apply,
    parse_update,
    timed_out,
)
from localcloud.gaps._support.rest import (
    Answer,
    RefusedError,
    Request,
    is_unserved,
    page,
    serve,
)
from localcloud.gaps._support.stores import Store, add_store
from localcloud.seam import Seam

_TARGET: Final = re.compile(r"arn:aws:iot:([a-z0-9-]+):([0-9]{12}):(thing|client)/(.+)")
_RESPONSE: Final = re.compile(
    r"\$aws/commands/(things|clients)/([^/]+)/executions/([^/]+)/response/(json|cbor)"
)
_FORMATS: Final = {"application/json": "/json", "application/cbor": "/cbor"}
_TIMEOUT_SECONDS: Final = 10
_LONGEST_TIMEOUT: Final = 24 * 3600
_KEPT_SECONDS: Final = 180 * 24 * 3600
_PERIOD_SECONDS: Final = 0.5


def is_open(iot: Seam) -> bool:
    """Whether MiniStack still does not know the paths."""
    return is_unserved(iot, "GET", "/commands")


def close(iot: Seam) -> Callable[[], None]:
    """Serve the operations; hear what devices answer.

    Returns:
        What begins to look for executions whose time is over.
    """
    commands = Commands(iot, add_store(iot, "commands"))
    executions = Executions(iot, commands, add_store(iot, "command_executions"))
    execution = "/command-executions/{executionId}"
    serve(
        iot,
        {
            "GET /commands": commands.list,
            "PUT /commands/{commandId}": commands.create,
            "GET /commands/{commandId}": commands.get,
            "PATCH /commands/{commandId}": commands.update,
            "DELETE /commands/{commandId}": commands.delete,
            "POST /command-executions": executions.list,
            f"GET {execution}": executions.get,
            f"DELETE {execution}": executions.delete,
        },
    )
    starts = {"POST /command-executions": executions.start}
    serve(Seam(iot_jobs_data), starts, entry="handle_request")
    _hear(iot, executions)
    tasks: set[asyncio.Task[None]] = set()  # the loop keeps no reference of its own
    return lambda: tasks.add(asyncio.get_running_loop().create_task(executions.watch()))


def _hear(iot: Seam, executions: "Executions") -> None:
    publish: Callable[..., Awaitable[None]] = iot["broker_publish"]

    async def broker_publish(
        account: str, region: str, topic: str, payload: bytes, *rest: Any, **named: Any
    ) -> None:
        await publish(account, region, topic, payload, *rest, **named)
        found = _RESPONSE.fullmatch(topic)
        if found:
            with iot["request_scope"](account, region):
                await executions.hear(topic, payload, *found.groups())

    iot["broker_publish"] = broker_publish


class Executions:
    """What was sent, and what became of it."""

    def __init__(self, iot: Seam, commands: Commands, store: Store) -> None:
        """Keep executions in ``store``."""
        self._iot = iot
        self._commands = commands
        self.store = store

    async def start(self, request: Request) -> Answer:
        """StartCommandExecution."""
        command = self._usable(request.body.get("commandArn"))
        target = self._target(request.body.get("targetArn"))
        seconds = request.body.get("executionTimeoutSeconds", _TIMEOUT_SECONDS)
        if not isinstance(seconds, int) or not 0 < seconds <= _LONGEST_TIMEOUT:
            raise invalid(f"executionTimeoutSeconds must be 1 to {_LONGEST_TIMEOUT}")
        if request.body.get("parameters"):
            raise invalid("this command takes no parameters")
        now, number = time.time(), str(uuid4())
        execution: Record = {
            "executionId": number,
            "commandArn": command["commandArn"],
            "targetArn": request.body["targetArn"],
            "status": "CREATED",
            "executionTimeoutSeconds": seconds,
            "createdAt": now,
            "lastUpdatedAt": now,
            "timeToLive": now + _KEPT_SECONDS,
        }
        self.store[number] = execution
        await self._tell(execution)
        await self._send(command, f"$aws/commands/{target}/executions/{number}/request")
        return {"executionId": number}

    def _usable(self, arn: object) -> Record:
        name = arn.rpartition(":command/")[2] if isinstance(arn, str) else ""
        command = self._commands.found(name)
        if command["deprecated"]:
            raise RefusedError("ConflictException", f"Command {name} is deprecated", 409)
        return command

    def _target(self, arn: object) -> str:
        """Return the part of the topic that names the device."""
        found = _TARGET.fullmatch(arn) if isinstance(arn, str) else None
        if found is None:
            raise invalid("targetArn must be the ARN of a thing or a client")
        _region, _account, kind, name = found.groups()
        if kind == "thing" and name not in self._iot["_things"]:
            raise RefusedError("ResourceNotFoundException", f"Thing {name} not found", 404)
        return f"{kind}s/{name}"

    async def _send(self, command: Record, topic: str) -> None:
        payload = command["payload"]
        kind = payload["contentType"]
        block = codec.properties({Property.CONTENT_TYPE: kind}) if kind else b""
        place = (self._iot["get_account_id"](), self._iot["get_region"]())
        content = base64.b64decode(payload["content"])
        full = topic + _FORMATS.get(kind, "")
        await self._iot["broker_publish"](*place, full, content, 1, properties=block)

    async def get(self, request: Request) -> Answer:
        """GetCommandExecution."""
        execution = dict(self._found(request))
        if request.query.get("includeResult", "").lower() != "true":
            execution.pop("result", None)
        execution.pop("final", None)
        return execution

    async def delete(self, request: Request) -> Answer:
        """DeleteCommandExecution, of one that is over."""
        execution = self._found(request)
        if execution["status"] in {"CREATED", "IN_PROGRESS"}:
            raise RefusedError("ConflictException", "The execution is not over yet", 409)
        del self.store[execution["executionId"]]
        return {}

    async def list(self, request: Request) -> Answer:
        """ListCommandExecutions, of a command or a target, the latest first."""
        body = request.body
        wanted = {key: body[key] for key in ("commandArn", "targetArn", "status") if body.get(key)}
        if not {"commandArn", "targetArn"} & set(wanted):
            raise invalid("commandArn or targetArn is required")
        found = [
            one
            for one in self.store.values()
            if all(one.get(key) == value for key, value in wanted.items())
        ]
        found.sort(key=lambda one: one["createdAt"], reverse=body.get("sortOrder") != "ASCENDING")
        shown, token = page(request, found)
        keys = ("commandArn", "executionId", "targetArn", "status", "createdAt", "startedAt")
        return {
            "commandExecutions": [
                {key: one[key] for key in (*keys, "completedAt") if key in one} for one in shown
            ],
            **({"nextToken": token} if token else {}),
        }

    def _found(self, request: Request) -> Record:
        number = request.parts["executionId"]
        execution: Record | None = self.store.get(number)
        if execution is None or request.query.get("targetArn") != execution["targetArn"]:
            text = f"Execution {number} of this target not found"
            raise RefusedError("ResourceNotFoundException", text, 404)
        return execution

    async def hear(self, topic: str, payload: bytes, kinds: str, name: str, *rest: str) -> None:
        """Take what a device says of an execution, and answer it."""
        number, encoding = rest
        is_cbor = encoding == "cbor"
        answer: Mapping[str, object] = {"executionId": number}
        verdict = "accepted"
        try:
            execution = self._of_device(number, f":{kinds[:-1]}/{name}")
            await self._apply(execution, parse_update(_document(payload, is_cbor=is_cbor)))
        except UpdateError as error:
            verdict = "rejected"
            answer = {"error": error.code, "errorMessage": str(error), **answer}
        place = (self._iot["get_account_id"](), self._iot["get_region"]())
        reply = topic.removesuffix(encoding) + f"{verdict}/{encoding}"
        body = cbor2.dumps(dict(answer)) if is_cbor else json.dumps(answer).encode()
        await self._iot["broker_publish"](*place, reply, body, 1)

    def _of_device(self, number: str, target: str) -> Record:
        execution: Record | None = self.store.get(number)
        if execution is None or not execution["targetArn"].endswith(target):
            raise UpdateError("ResourceNotFound", f"Execution {number} not found")
        return execution

    async def _apply(self, execution: Record, update: Update) -> None:
        changed = apply(execution, update, time.time())
        self.store[changed["executionId"]] = changed
        await self._tell(changed)

    async def watch(self) -> None:
        """Let executions time out."""
        while True:
            await asyncio.sleep(_PERIOD_SECONDS)
            for (account, region, number), execution in self.store.all_items():
                late = timed_out(execution, time.time())
                if late:
                    self.store.set_scoped(account, region, number, late)
                    with self._iot["request_scope"](account, region):
                        await self._tell(late)

    async def _tell(self, execution: Record) -> None:
        command = execution["commandArn"].rpartition(":command/")[2]
        event = {
            "executionId": execution["executionId"],
            "status": execution["status"],
            "eventType": "COMMAND_EXECUTION",
            "commandArn": execution["commandArn"],
            "targetArn": execution["targetArn"],
            "timestamp": int(time.time() * 1000),
        }
        if execution.get("statusReason"):
            event["statusReason"] = execution["statusReason"]
        place = (self._iot["get_account_id"](), self._iot["get_region"]())
        topic = f"$aws/events/commandExecution/{command}/{execution['status']}"
        await self._iot["_publish_event"](*place, topic, event)


def _document(payload: bytes, *, is_cbor: bool) -> object:
    try:
        return cbor2.loads(payload) if is_cbor else json.loads(payload)
    except (ValueError, RecursionError, cbor2.CBORDecodeError) as error:
        raise UpdateError("InvalidRequest", "The message cannot be parsed") from error
