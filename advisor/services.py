"""AWS IoT's shadow and Jobs, as much of them as one client needs for one case.

Source: AWS IoT Core Developer Guide, "Device Shadow MQTT topics" and "Jobs device MQTT API".
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from advisor.broker import matches
from advisor.script import Message

_SHADOW: Final = re.compile(r"(\$aws/things/[^/]+/shadow(?:/name/[^/$]+)?)/(get|update)")
JOB_ID: Final = "advisor-job"


def parsed(payload: bytes) -> Any:
    """Return the JSON in ``payload``, or None if it is none."""
    try:
        return json.loads(payload)
    except ValueError:
        return None


def holds(document: object, part: object) -> bool:
    """Whether ``document`` has all that ``part`` has, object by object."""
    if isinstance(document, Mapping) and isinstance(part, Mapping):
        return all(name in document and holds(document[name], part[name]) for name in part)
    return document == part


class Shadow:
    """A shadow for the classic and every named shadow of the client's thing, each empty."""

    def __init__(self, thing_name: str, desired: Any = None) -> None:
        """Desire ``desired`` of the client, if it is given."""
        self._thing_name: Final = thing_name
        self._desired: Final = desired
        self._version = 1

    def lets_in(self, _client_id: str) -> bool:
        """Let everybody in."""
        return True

    def subscribed(self, topic_filter: str) -> list[Message]:
        """Send the delta to who subscribes to it."""
        base = re.sub(r"/update/(delta|\+|#)\Z|/#\Z", "", topic_filter)
        base = base.replace("+", self._thing_name)
        topic = f"{base}/update/delta"
        if self._desired is None or "/shadow" not in base or not matches(topic_filter, topic):
            return []
        return [self._delta(base)]

    def published(self, topic: str, payload: bytes) -> list[Message]:
        """Answer a get and an update."""
        found = _SHADOW.fullmatch(topic)
        if found is None:
            return []
        base, verb = found.groups()
        return self._got(base) if verb == "get" else self._updated(base, parsed(payload))

    def _got(self, base: str) -> list[Message]:
        if self._desired is None:
            said = {"code": 404, "message": f"No shadow exists with name: '{self._thing_name}'"}
            return [_json(f"{base}/get/rejected", said)]
        state = {"desired": self._desired, "delta": self._desired}
        document = {"state": state, "metadata": {}, "version": self._version, "timestamp": 1}
        return [_json(f"{base}/get/accepted", document)]

    def _updated(self, base: str, document: Any) -> list[Message]:
        if not isinstance(document, Mapping) or not isinstance(document.get("state"), Mapping):
            said = {"code": 400, "message": "Missing required node: state"}
            return [_json(f"{base}/update/rejected", said)]
        self._version += 1
        accepted = {"state": document["state"], "metadata": {}, "version": self._version}
        if "clientToken" in document:
            accepted["clientToken"] = document["clientToken"]
        return [_json(f"{base}/update/accepted", {**accepted, "timestamp": 1})]

    def _delta(self, base: str) -> Message:
        self._version += 1
        delta = {"version": self._version, "timestamp": 1, "state": self._desired, "metadata": {}}
        return _json(f"{base}/update/delta", delta)


class Jobs:
    """One job for the client's thing, queued until the client says how it ended."""

    def __init__(self, thing_name: str, document: Any) -> None:
        """Queue a job with ``document``."""
        self._base: Final = f"$aws/things/{thing_name}/jobs"
        self._document: Final = document
        self._status = "QUEUED"
        self._version = 1

    def lets_in(self, _client_id: str) -> bool:
        """Let everybody in."""
        return True

    def subscribed(self, topic_filter: str) -> list[Message]:
        """Notify who subscribes to a notification."""
        if self._is_over:
            return []
        told = []
        if matches(topic_filter, f"{self._base}/notify-next"):
            told.append(_json(f"{self._base}/notify-next", self._next()))
        if matches(topic_filter, f"{self._base}/notify"):
            jobs = {"QUEUED": [self._summary()]}
            told.append(_json(f"{self._base}/notify", {"timestamp": 1, "jobs": jobs}))
        return told

    def published(self, topic: str, payload: bytes) -> list[Message]:
        """Answer a request of the Jobs API."""
        if not topic.startswith(f"{self._base}/"):
            return []
        request = parsed(payload)
        given = request if isinstance(request, Mapping) else {}
        token = {"clientToken": given["clientToken"]} if "clientToken" in given else {}
        answer = self._answer(topic.removeprefix(f"{self._base}/"), given)
        if answer is None:
            return []
        messages = [_json(f"{topic}/accepted", {"timestamp": 1, **token, **answer})]
        if topic.endswith("/update") and self._is_over:
            messages.append(_json(f"{self._base}/notify-next", {"timestamp": 1}))
        return messages

    @property
    def _is_over(self) -> bool:
        return self._status not in {"QUEUED", "IN_PROGRESS"}

    def _answer(self, verb: str, given: Mapping[str, Any]) -> dict[str, Any] | None:
        match verb.split("/"):
            case ["get"]:
                waiting = self._status == "QUEUED"
                queued = [self._summary()] if waiting else []
                running = [self._summary()] if self._status == "IN_PROGRESS" else []
                return {"queuedJobs": queued, "inProgressJobs": running}
            case ["start-next"]:
                self._status = self._status if self._is_over else "IN_PROGRESS"
                return self._next()
            case [_, "get"]:
                return self._next()
            case [job, "update"] if job == JOB_ID:
                self._status, self._version = str(given.get("status")), self._version + 1
                return {"executionState": {"status": self._status, "versionNumber": self._version}}
        return None

    def _summary(self) -> dict[str, Any]:
        number = {"executionNumber": 1, "versionNumber": self._version}
        return {"jobId": JOB_ID, "queuedAt": 1, "lastUpdatedAt": 1, **number}

    def _next(self) -> dict[str, Any]:
        if self._is_over:
            return {}
        status = {"status": self._status, "jobDocument": self._document}
        return {"execution": {**self._summary(), **status}}


def _json(topic: str, document: Any) -> Message:
    return topic, json.dumps(document).encode()
