"""AWS IoT Jobs: one job after the other, each once, whatever is cut in between.

The job at hand is kept on disk in phases, and each phase is kept before the order that belongs to
it: *accepted* (its beginning is to be told), *doing*, *done* (its end is to be told), *over*. So a
start after a power cut goes on where the device was. A job that restarts the device is proven by
something that must have changed: the boot id, or the moment of promotion after a reset.

Topics and messages are those of the AWS IoT Core Developer Guide, "Jobs device MQTT API"; a job's
document is ``{"operation": "reboot"}``, see docs/operation.md.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, Final

import msgspec

from device.errors.text import foreign
from device.operation.configuration import judge
from device.operation.deeds import (
    CollectDiagnostics,
    Configure,
    Done,
    FactoryReset,
    Keep,
    Kept,
    Renew,
    ReplaceTrustAnchors,
    Restart,
)
from device.operation.task import Order, QuietTask, Reconfigured, Report
from device.provisioning.actions import Publish
from device.provisioning.events import Event, MessageReceived
from device.provisioning.messages import UNREADABLE

LARGEST: Final = 32 * 1024
"""Bytes of a job document (AWS IoT Device Management quotas)."""
_LARGEST_MESSAGE: Final = 2 * LARGEST
MOST_DETAILS: Final = 10
_LONGEST_NAME: Final = 128
_LONGEST_DETAIL: Final = 1024
"""statusDetails: pairs, and characters of a name and a value (same quotas)."""
REPLY_SECONDS: Final = 30.0
RESTARTS: Final = 2
"""How often the device tries to restart for one job."""
_OVER_IN_THE_CLOUD: Final = frozenset(
    {"InvalidStateTransition", "TerminalStateReached", "ResourceNotFound"}
)


class Phase(StrEnum):
    """How far a job has come."""

    ACCEPTED = "accepted"
    DOING = "doing"
    DONE = "done"
    OVER = "over"


class Note(msgspec.Struct, frozen=True):
    """The job at hand, as it is kept."""

    job_id: str
    number: int
    version: int
    operation: str
    phase: Phase = Phase.ACCEPTED
    settings: dict[str, float] = {}
    mark: str = ""
    """What will have changed once the device was restarted, reset or renewed."""
    tries: int = 0
    status: str = ""
    details: dict[str, str] = {}


_NOTE: Final = msgspec.json.Decoder(Note)


_JobId = Annotated[str, msgspec.Meta(pattern=r"\A[a-zA-Z0-9_-]{1,64}\Z")]
"""Of AWS IoT's CreateJob. It is a level of the topics that the device publishes to, so a message
with any other id, which AWS IoT never sends, is not read."""


class _Execution(msgspec.Struct, rename="camel"):
    job_id: _JobId
    version_number: int
    execution_number: int = 1
    status: str = "QUEUED"
    job_document: Any = None


_EXECUTION: Final = msgspec.json.Decoder(_Execution)


class _Next(msgspec.Struct, rename="camel"):
    execution: msgspec.Raw = msgspec.Raw(b"{}")
    client_token: str = ""


_NEXT: Final = msgspec.json.Decoder(_Next)


class _State(msgspec.Struct, rename="camel"):
    status: str = ""
    version_number: int = 0


class _Reply(msgspec.Struct, rename="camel"):
    code: str = ""
    message: str = ""
    execution_state: _State = msgspec.field(default_factory=_State)


_REPLY: Final = msgspec.json.Decoder(_Reply)


class _Refused(Exception):  # noqa: N818 - not an error but news; becomes the status REJECTED
    """The job document is not one that this device carries out."""


class Jobs(QuietTask):
    """The task that carries out the jobs of ``thing_name``."""

    def __init__(
        self, thing_name: str, kept: bytes | None, marks: Callable[[], Mapping[str, str]]
    ) -> None:
        """Go on with the job that is ``kept``.

        ``marks`` says for ``reboot``, ``factory-reset`` and ``rotate-certificate`` what changes
        when it is done.
        """
        self._topic: Final = f"$aws/things/{thing_name}/jobs"
        self._marks: Final = marks
        self._note = None if not kept else _NOTE.decode(kept)
        self._is_connected = self._is_doing = self._is_awaiting = False
        self._due = math.inf
        self._asked, self._token = 0, ""
        self._root_ca_pem = ""
        """Of the job at hand; AWS IoT sends it again after a power cut, so it is not kept."""

    def subscriptions(self) -> Sequence[str]:
        """Hear of the next job, and replies."""
        ends = ("notify-next", "$next/get/accepted", "$next/get/rejected")
        replies = ("+/update/accepted", "+/update/rejected")
        return [f"{self._topic}/{end}" for end in (*ends, *replies)]

    def on_connected(self) -> Sequence[Order]:
        """Ask for the next job: the one at hand comes first."""
        self._is_connected, self._is_awaiting = True, False
        return [self._ask()]

    def on_disconnected(self) -> None:
        """Tell nothing any more; what is done goes on."""
        self._is_connected, self._is_awaiting, self._due = False, False, math.inf

    def on_message(self, message: MessageReceived) -> Sequence[Order]:
        """Begin a job, or go on with it."""
        end = message.topic.removeprefix(f"{self._topic}/")
        if len(message.payload) > _LARGEST_MESSAGE:
            return [_ignored(end, f"it has {len(message.payload)} bytes")]
        try:
            match end:
                case "notify-next" | "$next/get/accepted":
                    return self._next(_NEXT.decode(message.payload))
                case "$next/get/rejected":
                    reply = _REPLY.decode(message.payload)
                    return [Report("jobs refused", f"{reply.code} {foreign(reply.message)}")]
                case _:
                    return self._told(end, _REPLY.decode(message.payload))
        except UNREADABLE as error:
            return [_ignored(end, str(error))]

    def on_fact(self, fact: Event) -> Sequence[Order]:
        """Tell how the job ended."""
        note = self._note
        if note is None or not self._is_doing:
            return []
        if isinstance(fact, Reconfigured) and note.operation == "update-configuration":
            values = {name: f"{value:g}" for name, value in note.settings.items()}
            return self._end("SUCCEEDED", values)
        if isinstance(fact, Done) and fact.ticket == _ticket(note):
            if fact.problem:
                return self._end("FAILED", {**fact.details, "reason": fact.problem})
            return self._end("SUCCEEDED", fact.details)
        return []

    def next_due(self) -> float:
        """Return when the patience for a reply ends."""
        return self._due

    def on_due(self, now: float) -> Sequence[Order]:
        """Ask again where no reply came."""
        if self._due == -math.inf:
            self._due = now + REPLY_SECONDS
            return []
        self._due, was_awaiting, self._is_awaiting = math.inf, self._is_awaiting, False
        return [self._ask()] if was_awaiting and self._is_connected else []

    # --- what comes -----------------------------------------------------------------------------

    def _next(self, message: _Next) -> Sequence[Order]:
        raw, is_reply = message.execution, message.client_token == self._token
        execution = None if _is_empty(raw) else _EXECUTION.decode(raw)
        note = self._note
        if note is None or note.phase is Phase.OVER:
            return [] if execution is None else self._begin_or_not(note, execution, len(raw))
        if execution is not None and (note.job_id, note.number) == _identity(execution):
            return self._again(note, execution, is_reply=is_reply)
        if self._is_doing or self._is_awaiting:
            return []  # one at a time; what becomes of the job at hand is told first
        if not is_reply:
            return [self._ask()]  # a message may be older than the job at hand; a reply is not
        return [Report("job over in the cloud", foreign(note.job_id)), *self._over(note)]

    def _begin_or_not(self, over: Note | None, execution: _Execution, size: int) -> Sequence[Order]:
        is_same = over is not None and (over.job_id, over.number) == _identity(execution)
        if over is None or not is_same or not over.status:  # it was given up, never ended
            return self._begin(execution, size)
        if execution.version_number <= over.version:
            return []  # an old message: the end was told, and taken
        self._note = msgspec.structs.replace(over, version=execution.version_number)
        return self._tell()

    def _begin(self, execution: _Execution, size: int) -> Sequence[Order]:
        note = Note(*_identity(execution), execution.version_number, "")
        try:
            operation, settings, self._root_ca_pem = _read(execution.job_document, size)
        except _Refused as refusal:
            self._note = note
            return self._end("REJECTED", {"reason": str(refusal)})
        note = msgspec.structs.replace(note, operation=operation, settings=settings)
        began = Report("job begun", f"{foreign(note.job_id)}: {operation}")
        return [*self._keep(note), began, *self._tell()]

    def _again(self, note: Note, execution: _Execution, *, is_reply: bool) -> Sequence[Order]:
        """Go on with the job at hand, of which AWS IoT may not know how far it is."""
        is_old = execution.version_number < note.version and not is_reply
        if is_old or self._is_awaiting or self._is_doing:
            return []
        self._note = note = msgspec.structs.replace(note, version=execution.version_number)
        match note.phase:
            case Phase.ACCEPTED if execution.status != "IN_PROGRESS":
                return self._tell()
            case Phase.ACCEPTED | Phase.DOING:
                return self._do_again(note, execution.job_document)
        return self._tell()

    def _do_again(self, note: Note, document: object) -> Sequence[Order]:
        """Go on with ``note``, whose trust anchors are in ``document`` alone."""
        if note.operation == "update-trust-anchors":
            try:
                _, _, self._root_ca_pem = _read(document, size=0)
            except _Refused as refusal:
                return self._end("FAILED", {"reason": str(refusal)})
        return self._do(note)

    def _told(self, end: str, reply: _Reply) -> Sequence[Order]:
        """Go on after AWS IoT took, or did not take, what was told last."""
        note, (job_id, _, verdict) = self._note, end.rsplit("/", 2)
        if note is None or job_id != note.job_id or not self._is_awaiting:
            return []
        self._is_awaiting, self._due = False, math.inf
        if reply.execution_state.version_number:
            self._note = note = msgspec.structs.replace(
                note, version=reply.execution_state.version_number
            )
        if verdict == "accepted":
            return self._do(note) if note.phase is Phase.ACCEPTED else self._over(note)
        if reply.code in _OVER_IN_THE_CLOUD:
            said = Report("job over in the cloud", f"{foreign(job_id)}: {reply.code}")
            return [said, *self._over(note)]
        if reply.code == "VersionMismatch":
            return [self._ask()]
        said = Report("job refused", f"{foreign(job_id)}: {reply.code} {foreign(reply.message)}")
        return [said, *self._wait()]

    # --- what is done ---------------------------------------------------------------------------

    def _do(self, note: Note) -> Sequence[Order]:
        match note.operation:
            case "update-configuration":
                return [*self._doing(note), Configure(_ticket(note), note.settings)]
            case "collect-diagnostics":
                return [*self._doing(note), CollectDiagnostics(_ticket(note))]
            case "update-trust-anchors":
                deed = ReplaceTrustAnchors(_ticket(note), self._root_ca_pem)
                return [*self._doing(note), deed]
            case "rotate-certificate":
                return self._once(note, Renew(_ticket(note)))
            case "reboot":
                return self._once(note, Restart(_ticket(note)))
        return self._once(note, FactoryReset(_ticket(note)))

    def _once(self, note: Note, deed: Restart | FactoryReset | Renew) -> Sequence[Order]:
        """Order ``deed`` unless what it changes has changed since it was ordered before."""
        mark = self._marks()[note.operation]
        if note.phase is Phase.DOING and note.mark != mark:
            return self._end("SUCCEEDED", {"before": note.mark, "after": mark})
        if note.tries == RESTARTS:
            return self._end("FAILED", {"reason": f"tried {RESTARTS} times; still {mark}"})
        tried = msgspec.structs.replace(note, mark=mark, tries=note.tries + 1)
        return [*self._doing(tried), deed]

    def _doing(self, note: Note) -> Sequence[Order]:
        self._is_doing = True
        return self._keep(msgspec.structs.replace(note, phase=Phase.DOING))

    def _end(self, status: str, details: Mapping[str, str]) -> Sequence[Order]:
        """Keep how the job at hand ended, and tell it."""
        assert self._note is not None  # noqa: S101 - for mypy
        self._is_doing = False
        ended = msgspec.structs.replace(
            self._note, phase=Phase.DONE, status=status, details=_fitting(details)
        )
        said = Report("job ended", f"{foreign(ended.job_id)}: {status}")
        return [*self._keep(ended), said, *self._tell()]

    def _over(self, note: Note) -> Sequence[Order]:
        self._is_doing = False
        over = msgspec.structs.replace(note, phase=Phase.OVER, details={})
        return [*self._keep(over), self._ask()]

    def _keep(self, note: Note) -> Sequence[Order]:
        self._note = note
        return [Keep(Kept.JOB, msgspec.json.encode(note))]

    # --- what is told ---------------------------------------------------------------------------

    def _tell(self) -> Sequence[Order]:
        """Tell AWS IoT the phase of the job at hand, once there is a connection."""
        note = self._note
        if note is None or not self._is_connected:
            return []
        has_ended = note.phase in {Phase.DONE, Phase.OVER}
        progress = {"progress": "done" if has_ended else "begun", "operation": note.operation}
        document = {
            "status": note.status if has_ended else "IN_PROGRESS",
            "statusDetails": {**note.details, **{k: v for k, v in progress.items() if v}},
            "expectedVersion": note.version,
            "executionNumber": note.number,
            "includeJobExecutionState": True,
        }
        topic = f"{self._topic}/{note.job_id}/update"
        return [Publish(topic, msgspec.json.encode(document)), *self._wait()]

    def _ask(self) -> Publish:
        """Ask for the next job; only the reply with this token says what AWS IoT knows now."""
        self._asked += 1
        self._token = f"{self._marks()['reboot'][:32]}-{self._asked}"
        document = {"clientToken": self._token, "includeJobDocument": True}
        return Publish(f"{self._topic}/$next/get", msgspec.json.encode(document))

    def _wait(self) -> Sequence[Order]:
        self._is_awaiting, self._due = True, -math.inf
        return []


def _read(document: object, size: int) -> tuple[str, dict[str, float], str]:
    """Return the operation that ``document`` asks for, its settings and its trust anchors.

    Raises:
        _Refused: the device does not carry it out.
    """
    if size > LARGEST:
        raise _Refused(f"the job document is larger than {LARGEST} bytes")
    if not isinstance(document, dict):
        raise _Refused("the job document is not a JSON object")
    rest = dict(document)
    operation, wanted = rest.pop("operation", None), rest.pop("settings", None)
    if operation not in OPERATIONS:
        known = ", ".join(OPERATIONS)
        raise _Refused(f"unknown operation {foreign(repr(operation))}; this device has: {known}")
    root_ca_pem = rest.pop("root_ca", "") if operation == "update-trust-anchors" else ""
    if rest:
        raise _Refused(f"unknown members: {foreign(', '.join(map(str, rest)))}")
    if operation != "update-configuration":
        if wanted is not None:
            raise _Refused(f"{operation} takes no settings")
        if operation == "update-trust-anchors" and not _is_text(root_ca_pem):
            raise _Refused(f"{operation} needs root_ca: CA certificates as PEM, in one text")
        return operation, {}, root_ca_pem
    return operation, _settings(wanted), ""


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and bool(value.strip())


def _settings(wanted: object) -> dict[str, float]:
    verdict = judge(wanted)
    if verdict.refused:
        raise _Refused("; ".join(f"{name} {why}" for name, why in verdict.refused.items()))
    if not verdict.accepted:
        raise _Refused("update-configuration needs settings")
    return verdict.accepted


OPERATIONS: Final = (
    "update-configuration",
    "collect-diagnostics",
    "reboot",
    "factory-reset",
    "rotate-certificate",
    "update-trust-anchors",
)


def _is_empty(execution: msgspec.Raw) -> bool:
    return not msgspec.json.decode(execution)


def _identity(execution: _Execution) -> tuple[str, int]:
    return execution.job_id, execution.execution_number


def _ticket(note: Note) -> str:
    return f"job {note.job_id} {note.number}"


def _fitting(details: Mapping[str, str]) -> dict[str, str]:
    """Return as many of ``details`` as AWS IoT takes beside the two that are always there."""
    pairs = list(details.items())[: MOST_DETAILS - 2]
    return {name[:_LONGEST_NAME]: value[:_LONGEST_DETAIL] for name, value in pairs}


def _ignored(what: str, why: str) -> Report:
    return Report("job message ignored", f"{what}: {foreign(why)}")
