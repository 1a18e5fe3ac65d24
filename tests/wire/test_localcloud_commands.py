"""Commands: what is sent to a device, what it answers, and what becomes of the execution."""

import json
from collections.abc import Callable
from typing import Any

import cbor2
import pytest
from botocore.exceptions import ClientError

from tests.wire.conftest import LocalCloud
from tests.wire.localcloud_registry import mark, until
from tests.wire.localcloud_sdk import Credential, add_certificate, policy
from tests.wire.raw_mqtt import RawMqtt, connected

pytestmark = pytest.mark.wire
ANYTHING = policy(
    ("Connect", ["client/*"]), ("Publish Receive", ["topic/*"]), ("Subscribe", ["topicfilter/*"])
)


@pytest.fixture(scope="module")
def device(local_cloud: LocalCloud) -> Credential:
    return add_certificate(local_cloud, ANYTHING)


@pytest.fixture(scope="module")
def thing(local_cloud: LocalCloud) -> str:
    name = mark("commanded")
    local_cloud.client("iot").create_thing(thingName=name)
    return name


@pytest.fixture
def start(local_cloud: LocalCloud, thing: str) -> Callable[..., str]:
    """Start a new command on the thing; return the execution's id."""

    def start(kind: str = "application/json", content: bytes = b'{"reboot": 1}', **how: Any) -> str:
        made = local_cloud.client("iot").create_command(
            commandId=mark("command"), payload={"content": content, "contentType": kind}
        )
        sent = local_cloud.client("iot-jobs-data").start_command_execution(
            targetArn=arn(thing), commandArn=made["commandArn"], **how
        )
        return str(sent["executionId"])

    return start


def arn(thing: str) -> str:
    return f"arn:aws:iot:us-east-1:000000000000:thing/{thing}"


def execution(cloud: LocalCloud, thing: str, number: str) -> Any:
    return cloud.client("iot").get_command_execution(
        executionId=number, targetArn=arn(thing), includeResult=True
    )


def say(client: RawMqtt, topic: str, **document: Any) -> tuple[str, Any]:
    client.publish(topic, json.dumps(document).encode())
    answer = client.receive()
    return answer.topic, json.loads(answer.payload)


def test_a_command_is_sent_answered_and_over(
    local_cloud: LocalCloud, device: Credential, thing: str, start: Callable[..., str]
) -> None:
    base = f"$aws/commands/things/{thing}/executions"
    with connected(local_cloud, device, thing) as client:
        client.subscribe(f"{base}/+/request/json")
        number = start()
        request = client.receive()
        assert (request.topic, request.payload) == (
            f"{base}/{number}/request/json",
            b'{"reboot": 1}',
        )
        assert execution(local_cloud, thing, number)["status"] == "CREATED"
        response = f"{base}/{number}/response/json"
        accepted = (f"{base}/{number}/response/accepted/json", {"executionId": number})
        assert say(client, response, status="IN_PROGRESS") == accepted
        result = {"step": {"s": "done"}, "good": {"b": True}}
        assert say(client, response, status="SUCCEEDED", result=result) == accepted
        topic, error = say(client, response, status="FAILED")
    assert topic.endswith("/response/rejected/json")
    assert error["error"] == "TerminalStateReached"
    found = execution(local_cloud, thing, number)
    assert (found["status"], found["result"]) == (
        "SUCCEEDED",
        {"step": {"S": "done"}, "good": {"B": True}},
    )


def test_cbor_and_other_formats_have_their_topics(
    local_cloud: LocalCloud, device: Credential, thing: str, start: Callable[..., str]
) -> None:
    base = f"$aws/commands/things/{thing}/executions"
    with connected(local_cloud, device, thing) as client:
        client.subscribe(f"{base}/+/request/cbor", f"{base}/+/request")
        number = start("application/cbor", cbor2.dumps({"a": 1}))
        assert cbor2.loads(client.receive().payload) == {"a": 1}
        client.publish(f"{base}/{number}/response/cbor", cbor2.dumps({"status": "SUCCEEDED"}))
        answer = client.receive()
        assert answer.topic == f"{base}/{number}/response/accepted/cbor"
        other = start("text/plain", b"hello")
        message = client.receive()
    assert (message.topic, message.payload) == (f"{base}/{other}/request", b"hello")


def test_each_change_of_status_is_an_event(
    local_cloud: LocalCloud, device: Credential, thing: str, start: Callable[..., str]
) -> None:
    reason = {"reasonCode": "BUSY"}
    with (
        connected(local_cloud, device, thing) as client,
        connected(local_cloud, device, "owner") as owner,
    ):
        owner.subscribe("$aws/events/commandExecution/+/#")
        number = start()
        response = f"$aws/commands/things/{thing}/executions/{number}/response/json"
        say(client, response, status="REJECTED", statusReason=reason)
        created, rejected = owner.receive(), owner.receive()
    execution_ = execution(local_cloud, thing, number)
    command = execution_["commandArn"].rpartition("/")[2]
    topic = f"$aws/events/commandExecution/{command}"
    assert [created.topic, rejected.topic] == [f"{topic}/CREATED", f"{topic}/REJECTED"]
    event = json.loads(rejected.payload)
    assert event.pop("timestamp") > 1_700_000_000_000
    assert event == {
        "executionId": number,
        "status": "REJECTED",
        "statusReason": reason,
        "eventType": "COMMAND_EXECUTION",
        "commandArn": execution_["commandArn"],
        "targetArn": arn(thing),
    }


def test_an_execution_times_out_and_may_still_be_reported(
    local_cloud: LocalCloud, device: Credential, thing: str, start: Callable[..., str]
) -> None:
    number = start(executionTimeoutSeconds=1)
    until(lambda: execution(local_cloud, thing, number)["status"], "TIMED_OUT")
    reason = execution(local_cloud, thing, number)["statusReason"]["reasonCode"]
    assert reason == "$NO_RESPONSE_FROM_DEVICE"
    response = f"$aws/commands/things/{thing}/executions/{number}/response/json"
    with connected(local_cloud, device, thing) as client:
        topic, _ = say(client, response, status="FAILED", statusReason={"reasonCode": "LATE"})
    assert topic.endswith("/accepted/json")
    assert execution(local_cloud, thing, number)["status"] == "FAILED"


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"status": "DONE"},
        {"status": 5},
        {"status": "CREATED"},
        {"status": "FAILED", "statusReason": "text"},
        {"status": "FAILED", "statusReason": {"reasonCode": "lower case"}},
        {"status": "FAILED", "result": {"a": "b"}},
        {"status": "FAILED", "result": {"a": {"s": 5}}},
    ],
    ids=str,
)
def test_an_answer_of_the_wrong_kind_is_rejected(
    local_cloud: LocalCloud,
    device: Credential,
    thing: str,
    start: Callable[..., str],
    wrong: dict[str, Any],
) -> None:
    number = start()
    response = f"$aws/commands/things/{thing}/executions/{number}/response/json"
    with connected(local_cloud, device, thing) as client:
        topic, error = say(client, response, **wrong)
    assert topic.endswith("/rejected/json")
    assert (error["error"], error["executionId"]) == ("InvalidRequest", number)
    assert execution(local_cloud, thing, number)["status"] == "CREATED"


def test_another_devices_execution_is_not_found(
    local_cloud: LocalCloud, device: Credential, start: Callable[..., str]
) -> None:
    response = f"$aws/commands/things/other/executions/{start()}/response/json"
    with connected(local_cloud, device, "other") as client:
        assert say(client, response, status="SUCCEEDED")[1]["error"] == "ResourceNotFound"


def test_a_deprecated_command_and_an_unknown_thing_are_refused(
    local_cloud: LocalCloud, thing: str
) -> None:
    iot, jobs = local_cloud.client("iot"), local_cloud.client("iot-jobs-data")
    made = iot.create_command(commandId=mark("old"), payload={"content": b"x"})
    with pytest.raises(jobs.exceptions.ResourceNotFoundException):
        jobs.start_command_execution(targetArn=arn("nobody"), commandArn=made["commandArn"])
    iot.update_command(commandId=made["commandId"], deprecated=True)
    with pytest.raises(ClientError, match="deprecated"):
        jobs.start_command_execution(targetArn=arn(thing), commandArn=made["commandArn"])
    assert made["commandId"] in [one["commandId"] for one in iot.list_commands()["commands"]]
    iot.delete_command(commandId=made["commandId"])
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        iot.get_command(commandId=made["commandId"])
