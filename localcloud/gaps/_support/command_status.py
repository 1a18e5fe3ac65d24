"""How the status of a command's execution changes (developer guide, "Commands concepts").

Decisions only: an execution and what its device says give the execution as it is then.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_FINAL: Final = frozenset({"SUCCEEDED", "FAILED", "REJECTED"})
_FROM_DEVICE: Final = _FINAL | {"IN_PROGRESS", "TIMED_OUT"}
_REASON: Final = re.compile(r"[A-Z0-9_-]{1,64}")
_LONGEST_DESCRIPTION: Final = 1024
_NO_RESPONSE: Final = "$NO_RESPONSE_FROM_DEVICE"
_RESULT_KINDS: Final = {"s": ("S", str), "b": ("B", bool), "bin": ("BIN", str)}

Execution = dict[str, Any]


class UpdateError(Exception):
    """Refuses what a device says; ``code`` is told to it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Update:
    """What a device says of an execution."""

    status: str
    reason: Mapping[str, str] | None = None
    result: Mapping[str, Any] | None = None


def parse_update(document: object) -> Update:
    """Read a device's message.

    Raises:
        UpdateError: a member is missing or of the wrong kind.
    """
    if not isinstance(document, dict):
        raise UpdateError("InvalidRequest", "The message must be an object")
    status = document.get("status")
    if not isinstance(status, str) or status not in _FROM_DEVICE:
        text = f"status must be one of {', '.join(sorted(_FROM_DEVICE))}"
        raise UpdateError("InvalidRequest", text)
    return Update(status, _reason(document.get("statusReason")), _result(document.get("result")))


def _reason(given: object) -> Mapping[str, str] | None:
    if given is None:
        return None
    code = given.get("reasonCode") if isinstance(given, dict) else None
    if not isinstance(given, dict) or not isinstance(code, str) or not _REASON.fullmatch(code):
        raise UpdateError("InvalidRequest", "statusReason needs a reasonCode of A-Z0-9_-")
    text = given.get("reasonDescription", "")
    if not isinstance(text, str) or len(text) > _LONGEST_DESCRIPTION:
        raise UpdateError("InvalidRequest", "reasonDescription must be a string of 1024 at most")
    return {"reasonCode": code, **({"reasonDescription": text} if text else {})}


def _result(given: object) -> Mapping[str, Any] | None:
    if given is None:
        return None
    if not isinstance(given, dict):
        raise UpdateError("InvalidRequest", "result must be a map")
    return {str(name): _value(name, value) for name, value in given.items()}


def _value(name: object, value: object) -> Mapping[str, object]:
    if isinstance(value, dict) and len(value) == 1:
        [(kind, inner)] = value.items()
        member, wanted = _RESULT_KINDS.get(str(kind).lower(), ("", None))
        if wanted is not None and isinstance(inner, wanted):
            return {member: inner}
    raise UpdateError("InvalidRequest", f"result {name} must be an object with s, b or bin")


def apply(execution: Execution, update: Update, now: float) -> Execution:
    """Return ``execution`` after ``update`` at ``now``, in epoch seconds.

    Raises:
        UpdateError: it is over for good.
    """
    current = execution["status"]
    if current in _FINAL or execution.get("final"):
        text = f"The execution is over with status {current}"
        raise UpdateError("TerminalStateReached", text)
    changed = {**execution, "status": update.status, "lastUpdatedAt": now}
    changed.pop("statusReason", None)
    changed.setdefault("startedAt", now)
    if update.reason:
        changed["statusReason"] = dict(update.reason)
    if update.result:
        changed["result"] = dict(update.result)
    if update.status in _FINAL or update.status == "TIMED_OUT":
        changed |= {"completedAt": now, "final": True}
    return changed


def timed_out(execution: Execution, now: float) -> Execution | None:
    """Return ``execution`` as it is once its time is over, or None before."""
    if execution["status"] not in {"CREATED", "IN_PROGRESS"}:
        return None
    if now - execution["createdAt"] < execution["executionTimeoutSeconds"]:
        return None
    reason = {"reasonCode": _NO_RESPONSE}
    return {**execution, "status": "TIMED_OUT", "statusReason": reason, "lastUpdatedAt": now}
