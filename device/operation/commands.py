"""AWS IoT Commands: a command is answered at once, and carried out once.

A command that comes twice is known by its execution id. One that restarts the device is first told
IN_PROGRESS; only when AWS IoT has taken that is it kept on disk and done, and after the start it is
told to have succeeded.
(AWS IoT Core Developer Guide, "Commands workflow"; the payload is ours, see docs/operation.md.)
"""

import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from device.errors.text import foreign
from device.operation.deeds import CollectDiagnostics, Done, Identify, Keep, Kept, Restart
from device.operation.task import Order, QuietTask, Report
from device.provisioning.actions import Publish
from device.provisioning.events import Event, MessageReceived
from device.provisioning.messages import UNREADABLE

LARGEST: Final = 32 * 1024
OPERATIONS: Final = ("reboot", "identify", "collect-diagnostics")
_KNOWN: Final = 64
"""So many executions are remembered, since a command may come twice."""
_REQUEST: Final = re.compile(r"(?P<id>[a-zA-Z0-9_-]{1,64})/request/json")
_RESPONSE: Final = re.compile(r"(?P<id>[^/]{1,64})/response/(?P<verdict>accepted|rejected)/json")
_LONGEST_VALUE: Final = 1024


class Note(msgspec.Struct, frozen=True):
    """The command that restarts the device, as it is kept."""

    execution_id: str
    boot_id: str


_NOTE: Final = msgspec.json.Decoder(Note)


class Commands(QuietTask):
    """The task that carries out the commands to ``thing_name``."""

    def __init__(self, thing_name: str, kept: bytes | None, boot_id: Callable[[], str]) -> None:
        """Tell first how the command that is ``kept`` ended."""
        self._topic: Final = f"$aws/commands/things/{thing_name}/executions"
        self._boot_id: Final = boot_id
        self._note = _NOTE.decode(kept) if kept else None
        known = [] if self._note is None else [self._note.execution_id]
        self._known: Final = deque(known, maxlen=_KNOWN)
        self._is_end_told = False
        """Whether what became of the restart was told; an answer before that is an older one."""
        self._restart: str | None = None
        """The execution that is to restart the device once AWS IoT knows of it."""

    def subscriptions(self) -> Sequence[str]:
        """Hear commands, and what AWS IoT says of the answers."""
        ends = ("request/json", "response/accepted/json", "response/rejected/json")
        return [f"{self._topic}/+/{end}" for end in ends]

    def on_connected(self) -> Sequence[Order]:
        """Tell what became of a restart."""
        note = self._note
        if note is None:
            return []
        self._is_end_told = True
        before, after = note.boot_id, self._boot_id()
        if before == after:
            return [self._failed(note.execution_id, f"the boot id is still {after}")]
        return [self._succeeded(note.execution_id, {"before": before, "after": after})]

    def on_disconnected(self) -> None:
        """Restart for no command of which AWS IoT may not know."""
        self._restart, self._is_end_told = None, False

    def on_message(self, message: MessageReceived) -> Sequence[Order]:
        """Carry a command out."""
        end = message.topic.removeprefix(f"{self._topic}/")
        if found := _REQUEST.fullmatch(end):
            return self._begin(found["id"], message.payload)
        if found := _RESPONSE.fullmatch(end):
            return self._answered(found["id"], found["verdict"], message.payload)
        return [Report("command ignored", foreign(end))]

    def on_fact(self, fact: Event) -> Sequence[Order]:
        """Answer the command that a deed was for."""
        if not isinstance(fact, Done) or not fact.ticket.startswith(_TICKET):
            return []
        execution_id = fact.ticket.removeprefix(_TICKET)
        if fact.problem:
            return [self._failed(execution_id, fact.problem)]
        return [self._succeeded(execution_id, fact.details)]

    def _begin(self, execution_id: str, payload: bytes) -> Sequence[Order]:
        if execution_id in self._known:
            return [Report("command ignored", f"{execution_id} came again")]
        self._known.append(execution_id)
        operation, problem = _read(payload)
        if problem:
            said = Report("command rejected", f"{execution_id}: {problem}")
            return [said, self._say(execution_id, "REJECTED", "NOT_CARRIED_OUT", problem)]
        said = Report("command", f"{execution_id}: {operation}")
        ticket = f"{_TICKET}{execution_id}"
        match operation:
            case "identify":
                return [said, Identify(ticket)]
            case "collect-diagnostics":
                return [said, CollectDiagnostics(ticket)]
        if self._restart is not None:
            return [self._say(execution_id, "REJECTED", "BUSY", "the device is about to reboot")]
        self._restart = execution_id
        return [said, self._say(execution_id, "IN_PROGRESS")]

    def _answered(self, execution_id: str, verdict: str, payload: bytes) -> Sequence[Order]:
        orders: list[Order] = []
        if verdict == "rejected":
            why = foreign(payload.decode(errors="replace"))
            orders.append(Report("command answer refused", f"{foreign(execution_id)}: {why}"))
        if self._is_end_told and self._note and self._note.execution_id == execution_id:
            self._note = None
            orders.append(Keep(Kept.COMMAND, b""))
        if self._restart == execution_id:
            self._restart = None
            if verdict == "accepted":
                note = Note(execution_id, self._boot_id())
                orders += [
                    Keep(Kept.COMMAND, msgspec.json.encode(note)),
                    Restart(f"{_TICKET}{execution_id}"),
                ]
        return orders

    def _succeeded(self, execution_id: str, details: Mapping[str, str]) -> Publish:
        result = {name: {"s": value[:_LONGEST_VALUE]} for name, value in details.items()}
        return self._say(execution_id, "SUCCEEDED", result=result)

    def _failed(self, execution_id: str, problem: str) -> Publish:
        return self._say(execution_id, "FAILED", "FAILED", problem)

    def _say(
        self,
        execution_id: str,
        status: str,
        code: str = "",
        text: str = "",
        result: Mapping[str, Any] | None = None,
    ) -> Publish:
        document: dict[str, Any] = {"status": status}
        if code:
            reason = {"reasonCode": code, "reasonDescription": text[:_LONGEST_VALUE]}
            document["statusReason"] = reason
        if result:
            document["result"] = result
        topic = f"{self._topic}/{execution_id}/response/json"
        return Publish(topic, msgspec.json.encode(document))


_TICKET: Final = "command "


def _read(payload: bytes) -> tuple[str, str]:
    """Return the operation, and what is wrong with the command."""
    if len(payload) > LARGEST:
        return "", f"the payload is larger than {LARGEST} bytes"
    try:
        document = msgspec.json.decode(payload)
    except UNREADABLE:
        return "", "the payload is not JSON"
    if not isinstance(document, dict):
        return "", "the payload is not a JSON object"
    operation = document.pop("operation", None)
    if operation not in OPERATIONS:
        known = ", ".join(OPERATIONS)
        return "", f"unknown operation {foreign(repr(operation))}; this device has: {known}"
    if document:
        return "", f"unknown members: {foreign(', '.join(map(str, document)))}"
    return operation, ""
