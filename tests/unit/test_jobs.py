"""Is each job carried out once, in order, whatever comes twice, late, wrong or in between?"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from device.operation.deeds import (
    CollectDiagnostics,
    Configure,
    Done,
    FactoryReset,
    Keep,
    Renew,
    ReplaceTrustAnchors,
    Restart,
)
from device.operation.jobs import LARGEST, REPLY_SECONDS, RESTARTS, Jobs
from device.operation.task import Deed, Order, Reconfigured, Report
from device.provisioning.actions import Publish
from device.provisioning.events import MessageReceived

BASE = "$aws/things/SN-1/jobs"
ASK = f"{BASE}/$next/get"


@dataclass
class Device:
    """A jobs task, the disk behind it, and what it ordered; AWS IoT answers by hand."""

    kept: bytes | None = None
    marks: dict[str, str] = field(
        default_factory=lambda: {"reboot": "b1", "factory-reset": "p1", "rotate-certificate": "c1"}
    )
    deeds: list[Deed] = field(default_factory=list)
    told: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    asked: int = 0
    token: str = ""
    reports: list[Report] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Switch the device on, and connect."""
        self.task = Jobs("SN-1", self.kept, lambda: self.marks)
        self.do(self.task.on_connected())

    def do(self, orders: Sequence[Order]) -> None:
        for order in orders:
            match order:
                case Keep(payload=payload):
                    self.kept = payload
                case Publish(topic, payload) if topic == ASK:
                    self.asked += 1
                    self.token = json.loads(payload)["clientToken"]
                case Publish(topic, payload):
                    self.told.append((topic.split("/")[4], json.loads(payload)))
                case Report():
                    self.reports.append(order)
                case _:
                    self.deeds.append(order)

    def hear(self, end: str, document: object) -> None:
        payload = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.do(self.task.on_message(MessageReceived(f"{BASE}/{end}", payload)))

    def offered(
        self,
        job: str,
        document: object,
        *,
        version: int = 1,
        number: int = 1,
        status: str = "QUEUED",
        end: str = "$next/get/accepted",
    ) -> None:
        execution = {
            "jobId": job,
            "status": status,
            "versionNumber": version,
            "executionNumber": number,
            "jobDocument": document,
        }
        token = {"clientToken": self.token} if end != "notify-next" else {}
        self.hear(end, {"timestamp": 1, "execution": execution, **token})

    def accepted(self, job: str, version: int) -> None:
        """AWS IoT takes what was told last."""
        state = {"status": "x", "versionNumber": version}
        self.hear(f"{job}/update/accepted", {"executionState": state})

    def rejected(self, job: str, code: str) -> None:
        self.hear(f"{job}/update/rejected", {"code": code, "message": "no"})

    def done(self, **what: Any) -> None:
        """The deed that was ordered last is done."""
        deed = self.deeds[-1]
        assert isinstance(
            deed, CollectDiagnostics | Renew | ReplaceTrustAnchors | Restart | FactoryReset
        )
        self.do(self.task.on_fact(Done(deed.ticket, **what)))

    @property
    def last(self) -> tuple[str, str]:
        """The job and the status that were told last."""
        job, document = self.told[-1]
        return job, document["status"]

    @property
    def reason(self) -> str:
        return str(self.told[-1][1]["statusDetails"]["reason"])


DIAGNOSE = {"operation": "collect-diagnostics"}
REBOOT = {"operation": "reboot"}


def test_a_job_is_told_to_begin_done_and_told_to_have_ended() -> None:
    device = Device()

    device.offered("j1", DIAGNOSE)
    job, begun = device.told[-1]
    assert (job, begun["status"]) == ("j1", "IN_PROGRESS")
    assert begun["statusDetails"] == {"progress": "begun", "operation": "collect-diagnostics"}
    assert (begun["expectedVersion"], begun["executionNumber"]) == (1, 1)
    assert device.deeds == [], "AWS IoT must know first"

    device.accepted("j1", 2)
    device.done(details={"load": "0.5"})

    job, ended = device.told[-1]
    assert (job, ended["status"], ended["expectedVersion"]) == ("j1", "SUCCEEDED", 2)
    assert ended["statusDetails"] == {
        "load": "0.5",
        "progress": "done",
        "operation": "collect-diagnostics",
    }


def test_two_jobs_in_a_row() -> None:
    device = Device()
    for job in ("j1", "j2"):
        device.offered(job, DIAGNOSE)
        device.accepted(job, 2)
        device.done()
        device.accepted(job, 3)

    assert [(job, told["status"]) for job, told in device.told] == [
        ("j1", "IN_PROGRESS"),
        ("j1", "SUCCEEDED"),
        ("j2", "IN_PROGRESS"),
        ("j2", "SUCCEEDED"),
    ]
    assert device.asked == 3, "at the connection, and after each job"


def test_a_configuration_is_changed_and_its_values_are_told() -> None:
    device = Device()
    device.offered(
        "j1", {"operation": "update-configuration", "settings": {"telemetry.interval": 5}}
    )
    device.accepted("j1", 2)

    [deed] = device.deeds
    assert isinstance(deed, Configure)
    assert deed.settings == {"telemetry.interval": 5.0}
    device.do(device.task.on_fact(Reconfigured(deed.settings)))
    assert device.last == ("j1", "SUCCEEDED")
    assert device.told[-1][1]["statusDetails"]["telemetry.interval"] == "5"


def test_a_configuration_that_cannot_be_kept_fails() -> None:
    device = Device()
    device.offered(
        "j1", {"operation": "update-configuration", "settings": {"telemetry": {"interval": 5}}}
    )
    device.accepted("j1", 2)
    [deed] = device.deeds
    assert isinstance(deed, Configure)

    device.do(device.task.on_fact(Done(deed.ticket, problem="the disk is full")))

    assert device.last == ("j1", "FAILED")
    assert device.reason == "the disk is full"


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"operation": "self-destruct"}, "unknown operation 'self-destruct'; this device has:"),
        ({}, "unknown operation None"),
        ({"operation": ["reboot"]}, "unknown operation"),
        (None, "not a JSON object"),
        ([REBOOT], "not a JSON object"),
        ("reboot", "not a JSON object"),
        ({"operation": "reboot", "when": "now", "x": 1}, "unknown members: when, x"),
        ({"operation": "reboot", "settings": {}}, "reboot takes no settings"),
        ({"operation": "update-configuration"}, "settings is not an object"),
        ({"operation": "update-configuration", "settings": {}}, "needs settings"),
        (
            {"operation": "update-configuration", "settings": {"telemetry.interval": 1e9}},
            "telemetry.interval is not from 0.1 to 604800",
        ),
        (
            {
                "operation": "update-configuration",
                "settings": {"telemetry.interval": 5, "method": "x"},
            },
            "method cannot be set from afar",
        ),
        ({"operation": "reboot", "padding": "x" * LARGEST}, "larger than 32768 bytes"),
    ],
)
def test_a_job_that_the_device_does_not_do_is_rejected_with_the_reason(
    document: object, reason: str
) -> None:
    device = Device()

    device.offered("j1", document)

    assert device.last == ("j1", "REJECTED")
    assert reason in device.reason
    assert device.deeds == []
    device.accepted("j1", 2)
    device.offered("j2", DIAGNOSE)
    assert device.last == ("j2", "IN_PROGRESS"), "the next has its turn"


@pytest.mark.parametrize(
    "payload",
    [b"", b"{", b"[]", b"\xff", b"[" * 5_000, b'{"execution":{"jobId":7}', b"x" * 99_999],
)
@pytest.mark.parametrize("end", ["notify-next", "$next/get/accepted", "j1/update/rejected"])
def test_a_message_that_makes_no_sense_is_told_and_changes_nothing(
    end: str, payload: bytes
) -> None:
    device = Device()

    device.hear(end, payload)

    assert [report.name for report in device.reports] == ["job message ignored"]
    assert (device.told, device.deeds, device.kept) == ([], [], None)


NO_IDS = ["", "#", "+", "a/b", "../x", "j\0", "j\n", "j 1", "\u00e9", "j" * 65]
"""Ids that no job of AWS IoT has; most cannot be a level of a topic."""


@pytest.mark.parametrize(
    "execution",
    [{"jobId": 7}, 7, "x", [1], *({"jobId": each, "versionNumber": 1} for each in NO_IDS)],
)
def test_an_execution_that_makes_no_sense_is_told(execution: object) -> None:
    device = Device()

    device.hear("notify-next", {"execution": execution})

    assert [report.name for report in device.reports] == ["job message ignored"]


def test_nothing_to_do_is_nothing_to_do() -> None:
    device = Device()

    device.hear("$next/get/accepted", {"timestamp": 1})
    device.hear("notify-next", {"timestamp": 1, "execution": {}})

    assert (device.told, device.deeds, device.asked) == ([], [], 1)


def test_a_job_that_arrives_twice_is_begun_and_done_once() -> None:
    device = Device()
    device.offered("j1", DIAGNOSE)
    device.offered("j1", DIAGNOSE, end="notify-next")
    assert len(device.told) == 1
    device.accepted("j1", 2)
    device.offered("j1", DIAGNOSE, version=2, status="IN_PROGRESS", end="notify-next")
    assert len(device.deeds) == 1
    device.done()
    device.accepted("j1", 3)

    device.offered("j1", DIAGNOSE)
    device.offered("j1", DIAGNOSE, version=3, status="IN_PROGRESS")

    assert len(device.deeds) == 1
    assert len(device.told) == 2


def test_the_same_job_again_is_another_execution() -> None:
    device = Device()
    device.offered("j1", DIAGNOSE)
    device.accepted("j1", 2)
    device.done()
    device.accepted("j1", 3)

    device.offered("j1", DIAGNOSE, number=2)
    device.accepted("j1", 2)

    assert len(device.deeds) == 2


def test_a_job_that_comes_while_another_runs_waits() -> None:
    device = Device()
    device.offered("j1", DIAGNOSE)
    device.accepted("j1", 2)
    device.offered("j2", DIAGNOSE, end="notify-next")
    assert len(device.deeds) == 1
    device.done()
    device.accepted("j1", 3)

    device.offered("j2", DIAGNOSE)

    assert device.last == ("j2", "IN_PROGRESS")


def test_a_version_that_conflicts_is_read_again_and_told_again() -> None:
    device = Device()
    device.offered("j1", DIAGNOSE)
    device.rejected("j1", "VersionMismatch")
    assert device.asked == 2

    device.offered("j1", DIAGNOSE, version=4)

    assert device.told[-1][1]["expectedVersion"] == 4


@pytest.mark.parametrize(
    "code", ["TerminalStateReached", "InvalidStateTransition", "ResourceNotFound"]
)
def test_a_job_that_was_cancelled_in_the_cloud_is_given_up(code: str) -> None:
    device = Device()
    device.offered("j1", REBOOT)
    device.rejected("j1", code)

    assert device.deeds == []
    device.offered("j2", DIAGNOSE)
    assert device.last == ("j2", "IN_PROGRESS")


def test_a_job_that_was_cancelled_while_the_device_was_off_does_not_block_the_next() -> None:
    device = Device()
    device.offered("j1", DIAGNOSE)
    device.accepted("j1", 2)
    device.start()

    device.offered("j2", DIAGNOSE, end="notify-next")
    assert device.asked == 3, "a message may be old, so the device asks"
    device.offered("j2", DIAGNOSE)
    device.offered("j2", DIAGNOSE)

    assert device.last == ("j2", "IN_PROGRESS")


def test_where_no_answer_comes_the_device_asks_again() -> None:
    device = Device()
    device.offered("j1", DIAGNOSE)
    device.do(device.task.on_due(100.0))
    assert device.task.next_due() == 100.0 + REPLY_SECONDS

    device.do(device.task.on_due(100.0 + REPLY_SECONDS))

    assert device.asked == 2
    device.offered("j1", DIAGNOSE)
    assert len(device.told) == 2


def test_a_reboot_is_proven_by_the_boot_id() -> None:
    device = Device()
    device.offered("j1", REBOOT)
    device.accepted("j1", 2)
    assert [type(deed) for deed in device.deeds] == [Restart]

    device.marks["reboot"] = "b2"
    device.start()
    device.offered("j1", REBOOT, version=2, status="IN_PROGRESS")

    assert device.last == ("j1", "SUCCEEDED")
    details = device.told[-1][1]["statusDetails"]
    assert (details["before"], details["after"]) == ("b1", "b2")
    assert len(device.deeds) == 1


def test_a_reboot_that_did_not_happen_is_tried_again_and_then_failed() -> None:
    device = Device()
    device.offered("j1", REBOOT)
    device.accepted("j1", 2)

    for _ in range(RESTARTS):
        device.start()
        device.offered("j1", REBOOT, version=2, status="IN_PROGRESS")

    assert len(device.deeds) == RESTARTS
    assert device.last == ("j1", "FAILED")
    assert "still b1" in device.reason


@pytest.mark.parametrize(
    ("operation", "deed"),
    [("reboot", Restart), ("factory-reset", FactoryReset), ("rotate-certificate", Renew)],
)
def test_what_is_done_is_not_done_again_after_a_cut(operation: str, deed: type[Deed]) -> None:
    device = Device()
    device.offered("j1", {"operation": operation})
    device.accepted("j1", 2)
    device.marks[operation] = "another"

    device.start()
    device.offered("j1", {"operation": operation}, version=2, status="IN_PROGRESS")

    assert [type(each) for each in device.deeds] == [deed]
    assert device.last == ("j1", "SUCCEEDED")


def test_the_note_is_kept_before_the_deed_it_is_for() -> None:
    device = Device()
    device.offered("j1", REBOOT)
    orders = device.task.on_message(
        MessageReceived(f"{BASE}/j1/update/accepted", b'{"executionState":{"versionNumber":2}}')
    )

    assert [type(order) for order in orders] == [Keep, Restart]


def test_a_rotation_that_fails_fails_the_job() -> None:
    device = Device()
    device.offered("j1", {"operation": "rotate-certificate"})
    device.accepted("j1", 2)

    device.done(problem="this device cannot renew its certificate")

    assert device.last == ("j1", "FAILED")
    assert device.reason == "this device cannot renew its certificate"


def test_a_rotation_job_during_a_rotation_waits_for_it() -> None:
    device = Device()
    device.offered("j1", {"operation": "rotate-certificate"})
    device.accepted("j1", 2)

    device.offered("j2", {"operation": "rotate-certificate"}, end="notify-next")

    assert len(device.deeds) == 1


def steps_of(device: Device) -> list[bytes | None]:
    """Do one job; return what was on the disk after each of its steps."""
    kept: list[bytes | None] = [device.kept]
    device.offered("j1", DIAGNOSE)
    kept.append(device.kept)
    device.accepted("j1", 2)
    kept.append(device.kept)
    device.done(details={"load": "1"})
    kept.append(device.kept)
    device.accepted("j1", 3)
    return [*kept, device.kept]


@pytest.mark.parametrize("cut", range(5))
@pytest.mark.parametrize(("status", "version"), [("QUEUED", 1), ("IN_PROGRESS", 2)])
def test_a_job_is_resumed_after_a_power_cut(cut: int, status: str, version: int) -> None:
    """Whatever was kept, and whatever AWS IoT knows of it: the job ends once, and as SUCCEEDED."""
    device = Device(kept=steps_of(Device())[cut])

    device.offered("j1", DIAGNOSE, version=version, status=status)
    for _ in range(4):
        statuses = [told["status"] for _, told in device.told]
        if statuses == ["IN_PROGRESS"] and not device.deeds:
            device.accepted("j1", version + 1)
        elif device.deeds and "SUCCEEDED" not in statuses:
            device.done()

    was_over = cut == 4
    if was_over:
        assert device.told == []
    else:
        assert device.last == ("j1", "SUCCEEDED")
        assert len(device.deeds) <= 1


ANCHORS = {"operation": "update-trust-anchors", "root_ca": "-----BEGIN CERTIFICATE-----"}


def test_trust_anchors_are_ordered_and_told_when_they_are_proven() -> None:
    device = Device()

    device.offered("j1", ANCHORS)
    device.accepted("j1", 2)

    assert device.deeds == [ReplaceTrustAnchors("job j1 1", ANCHORS["root_ca"])]
    device.done()
    assert device.last == ("j1", "SUCCEEDED")


def test_trust_anchors_are_not_kept_and_ordered_again_after_a_power_cut() -> None:
    device = Device()
    device.offered("j1", ANCHORS)
    device.accepted("j1", 2)
    assert device.kept is not None
    assert b"BEGIN" not in device.kept

    device.start()
    device.offered("j1", ANCHORS, version=2, status="IN_PROGRESS")

    assert device.deeds[1:] == [ReplaceTrustAnchors("job j1 1", ANCHORS["root_ca"])]


@pytest.mark.parametrize("root_ca", [None, "", " \n", 7, ["-----BEGIN"], "Zürich", {}])
def test_trust_anchors_that_are_no_text_are_rejected(root_ca: object) -> None:
    device = Device()

    device.offered("j1", {**ANCHORS, "root_ca": root_ca})

    assert device.last == ("j1", "REJECTED")
    assert "root_ca" in device.reason
    assert not device.deeds


def test_only_one_operation_takes_trust_anchors() -> None:
    device = Device()

    device.offered("j1", {**ANCHORS, "operation": "reboot"})

    assert device.reason == "unknown members: root_ca"
