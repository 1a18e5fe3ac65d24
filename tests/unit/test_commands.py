"""Is each command answered, carried out once, and the reboot told only when it happened?"""

import json
from typing import Any

import pytest

from device.operation.commands import LARGEST, Commands
from device.operation.deeds import CollectDiagnostics, Done, Identify, Keep, Restart
from device.operation.task import Order, Report
from device.provisioning.actions import Publish
from device.provisioning.events import MessageReceived

BASE = "$aws/commands/things/SN-1/executions"


def commands(kept: bytes | None = None, boot_id: str = "b1") -> Commands:
    task = Commands("SN-1", kept, lambda: boot_id)
    task.on_connected()
    return task


def hear(task: Commands, end: str, document: object) -> list[Order]:
    payload = document if isinstance(document, bytes) else json.dumps(document).encode()
    orders = task.on_message(MessageReceived(f"{BASE}/{end}", payload))
    return [order for order in orders if not isinstance(order, Report)]


def request(task: Commands, document: object, execution: str = "e1") -> list[Order]:
    return hear(task, f"{execution}/request/json", document)


def answer(order: Order) -> dict[str, Any]:
    assert isinstance(order, Publish)
    assert order.topic == f"{BASE}/e1/response/json"
    return dict(json.loads(order.payload))


@pytest.mark.parametrize(
    ("operation", "deed"), [("identify", Identify), ("collect-diagnostics", CollectDiagnostics)]
)
def test_a_command_is_done_and_its_result_told(operation: str, deed: Any) -> None:
    task = commands()
    [order] = request(task, {"operation": operation})
    assert isinstance(order, deed)

    [told] = task.on_fact(Done("command e1", {"load": "0.5"}))

    assert answer(told) == {"status": "SUCCEEDED", "result": {"load": {"s": "0.5"}}}


def test_a_command_that_fails_says_why() -> None:
    task = commands()
    request(task, {"operation": "identify"})

    [told] = task.on_fact(Done("command e1", problem="no lamp"))

    found = answer(told)
    assert found["status"] == "FAILED"
    assert found["statusReason"] == {"reasonCode": "FAILED", "reasonDescription": "no lamp"}


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"operation": "self-destruct"}, "unknown operation 'self-destruct'"),
        ({}, "unknown operation None"),
        ({"operation": {}}, "unknown operation"),
        ({"operation": "identify", "now": True}, "unknown members: now"),
        ([], "not a JSON object"),
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 5_000, "not JSON"),
        (b"x" * (LARGEST + 1), "larger than 32768 bytes"),
    ],
)
def test_a_command_that_the_device_does_not_do_is_rejected(document: object, reason: str) -> None:
    [told] = request(commands(), document)

    found = answer(told)
    assert found["status"] == "REJECTED"
    assert reason in found["statusReason"]["reasonDescription"]


def test_a_command_that_comes_twice_is_done_once() -> None:
    task = commands()
    request(task, {"operation": "identify"})

    assert request(task, {"operation": "identify"}) == []


def test_a_reboot_waits_until_aws_iot_knows_of_it_and_is_kept_first() -> None:
    task = commands()
    [told] = request(task, {"operation": "reboot"})
    assert answer(told) == {"status": "IN_PROGRESS"}

    orders = hear(task, "e1/response/accepted/json", {"executionId": "e1"})

    assert [type(order) for order in orders] == [Keep, Restart]


def test_a_reboot_that_aws_iot_no_longer_wants_does_not_happen() -> None:
    task = commands()
    request(task, {"operation": "reboot"})

    assert hear(task, "e1/response/rejected/json", {"error": "TerminalStateReached"}) == []
    assert hear(task, "e1/response/accepted/json", {"executionId": "e1"}) == []


def test_a_reboot_does_not_happen_over_a_lost_connection() -> None:
    task = commands()
    request(task, {"operation": "reboot"})
    task.on_disconnected()
    task.on_connected()

    assert hear(task, "e1/response/accepted/json", {"executionId": "e1"}) == []


def test_a_second_reboot_is_refused_while_the_first_is_under_way() -> None:
    task = commands()
    request(task, {"operation": "reboot"})

    [told] = request(task, {"operation": "reboot"}, "e2")

    assert isinstance(told, Publish)
    assert json.loads(told.payload)["statusReason"]["reasonCode"] == "BUSY"


NOTE = b'{"execution_id":"e1","boot_id":"b1"}'


@pytest.mark.parametrize(("boot_id", "status"), [("b2", "SUCCEEDED"), ("b1", "FAILED")])
def test_after_the_start_the_boot_id_tells(boot_id: str, status: str) -> None:
    task = Commands("SN-1", NOTE, lambda: boot_id)

    [told] = task.on_connected()

    assert answer(told)["status"] == status
    [forget] = hear(task, "e1/response/accepted/json", {"executionId": "e1"})
    assert isinstance(forget, Keep)
    assert forget.payload == b""


def test_what_the_session_kept_from_before_the_restart_is_no_answer_to_what_comes_after() -> None:
    """The broker sends it again at once, since its PUBACK was lost."""
    task = Commands("SN-1", NOTE, lambda: "b2")

    assert request(task, {"operation": "reboot"}) == []
    assert hear(task, "e1/response/accepted/json", {"executionId": "e1"}) == []
    assert len(task.on_connected()) == 1


def test_a_message_on_another_topic_is_ignored() -> None:
    assert hear(commands(), "a/b/c", {}) == []
