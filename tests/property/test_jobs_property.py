"""Whatever is lost, repeated or cut: does every job end once, and as it should?"""

import json
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

from device.operation.deeds import CollectDiagnostics, Configure, Done, Keep, Restart
from device.operation.jobs import Jobs
from device.operation.task import Order, Reconfigured
from device.provisioning.actions import Publish
from device.provisioning.events import MessageReceived

BASE: Final = "$aws/things/SN-1/jobs"
DOCUMENTS: Final[tuple[dict[str, Any], ...]] = (
    {"operation": "collect-diagnostics"},
    {"operation": "update-configuration", "settings": {"telemetry.interval": 5}},
    {"operation": "reboot"},
    {"operation": "self-destruct"},
)
STEPS: Final = ("hear", "hear", "finish", "twice", "lose", "cut")
ENDS: Final = ("SUCCEEDED", "SUCCEEDED", "SUCCEEDED", "REJECTED")


@dataclass
class Execution:
    document: dict[str, Any]
    status: str = "QUEUED"
    version: int = 1
    ended: int = 0


@dataclass
class Cloud:
    """AWS IoT Jobs, as far as one thing sees it."""

    jobs: dict[str, Execution]
    messages: deque[MessageReceived] = field(default_factory=deque)

    def next(self) -> dict[str, Any]:
        for wanted in ("IN_PROGRESS", "QUEUED"):
            for name, each in self.jobs.items():
                if each.status == wanted:
                    return {
                        "jobId": name,
                        "status": each.status,
                        "versionNumber": each.version,
                        "executionNumber": 1,
                        "jobDocument": each.document,
                    }
        return {}

    def take(self, order: Publish) -> None:
        request, end = json.loads(order.payload), order.topic.removeprefix(f"{BASE}/")
        if end == "$next/get":
            found = {"execution": job} if (job := self.next()) else {}
            self.say("$next/get/accepted", found | {"clientToken": request["clientToken"]})
            return
        job_id = end.split("/")[0]
        each, before = self.jobs[job_id], self.next()
        if each.status in {"SUCCEEDED", "FAILED", "REJECTED"}:
            self.say(f"{job_id}/update/rejected", {"code": "InvalidStateTransition"})
        elif request["expectedVersion"] != each.version:
            self.say(f"{job_id}/update/rejected", {"code": "VersionMismatch"})
        else:
            each.status, each.version = request["status"], each.version + 1
            each.ended += each.status != "IN_PROGRESS"
            state = {"status": each.status, "versionNumber": each.version}
            self.say(f"{job_id}/update/accepted", {"executionState": state})
            if self.next() != before:
                self.say("notify-next", {"execution": self.next()})

    def say(self, end: str, document: dict[str, Any]) -> None:
        payload = json.dumps(document).encode()
        self.messages.append(MessageReceived(f"{BASE}/{end}", payload))


class Device:
    """The task with its disk; a deed is done when the test says so."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.kept: bytes | None = None
        self.boots = 0
        self.done: Counter[str] = Counter()
        self.power_on()

    def power_on(self) -> None:
        self.boots += 1
        self.doing: CollectDiagnostics | Configure | None = None
        marks = {"reboot": f"boot {self.boots}", "factory-reset": "p", "rotate-certificate": "c"}
        self.task = Jobs("SN-1", self.kept, lambda: marks)
        self.connect()

    def connect(self) -> None:
        self.cloud.messages.clear()
        self.task.on_disconnected()
        self.do(list(self.task.on_connected()))

    def do(self, orders: list[Order]) -> None:
        for order in orders:
            match order:
                case Keep(payload=payload):
                    self.kept = payload
                case Publish():
                    self.cloud.take(order)
                case Restart():
                    self.done["reboot"] += 1
                    self.power_on()
                    return
                case CollectDiagnostics() | Configure():
                    self.doing = order

    def hear(self) -> None:
        if self.cloud.messages:
            self.do(list(self.task.on_message(self.cloud.messages.popleft())))

    def finish(self) -> None:
        deed, self.doing = self.doing, None
        match deed:
            case CollectDiagnostics(ticket):
                self.done["collect-diagnostics"] += 1
                self.do(list(self.task.on_fact(Done(ticket))))
            case Configure(settings=settings):
                self.done["update-configuration"] += 1
                self.do(list(self.task.on_fact(Reconfigured(settings))))


@given(
    which=st.lists(st.sampled_from(range(len(DOCUMENTS))), min_size=1, max_size=3),
    steps=st.lists(
        st.sampled_from(("hear", "hear", "finish", "twice", "lose", "cut")), max_size=30
    ),
)
def test_every_job_ends_once_and_as_it_should(which: list[int], steps: list[str]) -> None:
    jobs = {f"j{n}": Execution(DOCUMENTS[kind]) for n, kind in enumerate(which)}
    cloud = Cloud(jobs)
    device = Device(cloud)
    cuts = 0

    for step in steps:
        match step:
            case "hear":
                device.hear()
            case "finish":
                device.finish()
            case "twice":
                cloud.messages.extend(list(cloud.messages)[:1])
            case "lose":
                device.connect()
            case "cut":
                cuts += 1
                device.power_on()
    device.connect()
    for _ in range(40):
        device.hear()
        device.finish()

    assert [each.status for each in jobs.values()] == [ENDS[kind] for kind in which]
    assert {each.ended for each in jobs.values()} == {1}
    wanted = Counter(str(DOCUMENTS[kind]["operation"]) for kind in which)
    for operation, count in device.done.items():
        assert count <= wanted[operation] + cuts, "again only where a cut came in between"
