"""The commands that can be sent: CreateCommand and its kin; part of the gap `commands`."""

import base64
import binascii
import re
import time
from typing import Any, Final

from localcloud.gaps._support.rest import Answer, RefusedError, Request, arn_of, page
from localcloud.gaps._support.stores import Store
from localcloud.seam import Seam

_ID: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_LARGEST: Final = 32 * 1024
_LOCAL: Final = "AWS-IoT"

Record = dict[str, Any]


def invalid(text: str) -> RefusedError:
    """Return AWS's refusal of a value."""
    return RefusedError("ValidationException", text)


class Commands:
    """What can be sent."""

    def __init__(self, iot: Seam, store: Store) -> None:
        """Keep commands in ``store``."""
        self._iot = iot
        self.store = store

    async def create(self, request: Request) -> Answer:
        """CreateCommand."""
        name, body = request.parts["commandId"], request.body
        if not _ID.fullmatch(name):
            raise invalid("commandId must have 1 to 64 of a-zA-Z0-9_-")
        if name in self.store:
            raise RefusedError("ConflictException", f"Command {name} already exists", 409)
        if body.get("namespace", _LOCAL) != _LOCAL:
            raise invalid(f"the local AWS has the namespace {_LOCAL} only")
        if body.get("payloadTemplate") or body.get("mandatoryParameters"):
            raise invalid("the local AWS has no payload templates and no parameters")
        now, arn = time.time(), arn_of(self._iot, f"command/{name}")
        given = {key: body[key] for key in ("displayName", "description") if body.get(key)}
        self.store[name] = {
            "commandId": name,
            "commandArn": arn,
            "namespace": _LOCAL,
            "payload": _payload(body.get("payload")),
            "createdAt": now,
            "lastUpdatedAt": now,
            "deprecated": False,
            "pendingDeletion": False,
            **given,
        }
        return {"commandId": name, "commandArn": arn}

    async def get(self, request: Request) -> Answer:
        """GetCommand."""
        return dict(self.found(request.parts["commandId"]))

    async def list(self, request: Request) -> Answer:
        """ListCommands, the latest first unless ``sortOrder`` says otherwise."""
        found = sorted(self.store.values(), key=lambda one: one["createdAt"])
        if request.query.get("sortOrder") != "ASCENDING":
            found.reverse()
        shown, token = page(request, found)
        keys = ("commandArn", "commandId", "deprecated", "createdAt", "lastUpdatedAt")
        return {
            "commands": [{key: one[key] for key in (*keys, "pendingDeletion")} for one in shown],
            **({"nextToken": token} if token else {}),
        }

    async def update(self, request: Request) -> Answer:
        """UpdateCommand: its names, and whether it may be used."""
        command = dict(self.found(request.parts["commandId"]))
        keys = ("displayName", "description", "deprecated")
        changes = {key: request.body[key] for key in keys if key in request.body}
        command |= {**changes, "lastUpdatedAt": time.time()}
        self.store[command["commandId"]] = command
        told = ("commandId", *keys, "lastUpdatedAt")
        return {key: command[key] for key in told if key in command}

    async def delete(self, request: Request) -> Answer:
        """DeleteCommand; one that does not exist is not an error."""
        self.store.pop(request.parts["commandId"], None)
        return {"statusCode": 204}

    def found(self, name: str) -> Record:
        """Return a command.

        Raises:
            RefusedError: it does not exist.
        """
        command: Record | None = self.store.get(name)
        if command is None:
            raise RefusedError("ResourceNotFoundException", f"Command {name} not found", 404)
        return command


def _payload(given: Any) -> Record:
    if not isinstance(given, dict) or not given.get("content"):
        raise invalid("payload with content is required")
    try:
        content = base64.b64decode(given["content"], validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid("payload.content is not base64") from error
    if len(content) > _LARGEST:
        raise invalid(f"payload.content has more than {_LARGEST} bytes")
    return {"content": given["content"], "contentType": given.get("contentType", "")}
