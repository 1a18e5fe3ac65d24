"""Shadow and job execution, as Device Advisor has them."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from advisor.case import Case, Finding, Given, Judge, by, failed, passed, warned
from advisor.codec import Kind
from advisor.journal import Entry, received
from advisor.script import Script
from advisor.services import JOB_ID, Jobs, Shadow, holds, parsed

_GUIDE: Final = "https://docs.aws.amazon.com/iot/latest/developerguide/"


def reports(entries: Sequence[Entry]) -> Finding | None:
    """Pass when the client reports a state."""
    for topic, state in _reported(entries):
        return passed(f"reported {', '.join(map(str, state)) or 'an empty state'} on {topic}")
    return None


def reaches(given: Given) -> Judge:
    """Return a judge that passes when the state that is desired is reported."""

    def judge(entries: Sequence[Entry]) -> Finding | None:
        for topic, state in _reported(entries):
            if _holds_anywhere(state, given.desired):
                return passed(f"reported the state that was desired, on {topic}")
        return None

    return judge


def does_the_job(entries: Sequence[Entry]) -> Finding | None:
    """Pass when the job goes from start to SUCCEEDED."""
    said = []
    for packet in received(entries, Kind.PUBLISH):
        if packet.topic.endswith("/jobs/start-next"):
            said.append("IN_PROGRESS")
        elif packet.topic.endswith(f"/jobs/{JOB_ID}/update"):
            document = parsed(packet.payload)
            said.append(str(document.get("status")) if isinstance(document, Mapping) else "?")
    if not said or said[-1] in {"IN_PROGRESS", "?"}:
        return None
    path = " -> ".join(dict.fromkeys(said))
    if said[-1] != "SUCCEEDED":
        return failed(f"the job ended otherwise: {path}")
    if "IN_PROGRESS" not in said:
        return warned(f"the job was never said to be in progress: {path}")
    return passed(path)


def _reported(entries: Sequence[Entry]) -> list[tuple[str, Mapping[str, Any]]]:
    found = []
    for packet in received(entries, Kind.PUBLISH):
        document = parsed(packet.payload)
        if not packet.topic.endswith("/update") or "/shadow" not in packet.topic:
            continue
        state = document.get("state") if isinstance(document, Mapping) else None
        reported = state.get("reported") if isinstance(state, Mapping) else None
        if isinstance(reported, Mapping):
            found.append((packet.topic, reported))
    return found


def _holds_anywhere(state: object, part: object) -> bool:
    """Whether ``part`` is in ``state`` or in an object of it: some clients report settings so."""
    if holds(state, part):
        return True
    inner = state.values() if isinstance(state, Mapping) else ()
    return any(_holds_anywhere(each, part) for each in inner)


CASES: Final = (
    Case(
        "Shadow_Publish_Reported_State",
        "Device publishes reported state after it connects (Happy case)",
        "Nothing: the shadow service answers as AWS IoT Core does.",
        lambda given: Script(services=(Shadow(given.thing_name),)),
        by(reports),
        "the client reported no state to a shadow",
        f"{_GUIDE}device-advisor-tests-shadow.html",
    ),
    Case(
        "Shadow_Update_Reported_State",
        "Device updates reported state to desired state (Happy case)",
        "The shadow desires another state: as a delta, and in the answer to a get.",
        lambda given: Script(services=(Shadow(given.thing_name, given.desired),)),
        reaches,
        "the client never reported the state that was desired",
        f"{_GUIDE}device-advisor-tests-shadow.html",
    ),
    Case(
        "Job_Execution",
        "Device can complete a job execution",
        "A job is queued: notified, and in the answers to get and start-next.",
        lambda given: Script(services=(Jobs(given.thing_name, given.job),)),
        by(does_the_job),
        "the client did not bring the job to an end",
        f"{_GUIDE}device-advisor-tests-job-execution.html",
    ),
)
