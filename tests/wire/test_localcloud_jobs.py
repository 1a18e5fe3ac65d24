"""Jobs as a device meets them: numbers as strings, and values of the wrong kind."""

import json
import uuid

import pytest

from tests.wire.conftest import LocalCloud
from tests.wire.localcloud_sdk import Credential, add_certificate, policy
from tests.wire.raw_mqtt import connected

pytestmark = pytest.mark.wire
ANYTHING = policy(
    ("Connect", ["client/*"]), ("Publish Receive", ["topic/*"]), ("Subscribe", ["topicfilter/*"])
)


@pytest.fixture(scope="module")
def device(local_cloud: LocalCloud) -> Credential:
    return add_certificate(local_cloud, ANYTHING)


def make_job(cloud: LocalCloud) -> tuple[str, str]:
    iot, mark = cloud.client("iot"), uuid.uuid4().hex[:8]
    thing = iot.create_thing(thingName=f"worker-{mark}")
    iot.create_job(jobId=f"job-{mark}", targets=[thing["thingArn"]], document="{}")
    return f"worker-{mark}", f"job-{mark}"


def test_numbers_may_be_strings(local_cloud: LocalCloud, device: Credential) -> None:
    thing, job = make_job(local_cloud)
    request = {"status": "IN_PROGRESS", "executionNumber": "1", "expectedVersion": "1"}
    with connected(local_cloud, device, thing) as client:
        client.publish(f"$aws/things/{thing}/jobs/{job}/update", json.dumps(request).encode())
        assert client.receive().topic.endswith("/accepted")


@pytest.mark.parametrize(
    "wrong",
    [
        {"executionNumber": []},
        {"expectedVersion": "two"},
        {"stepTimeoutInMinutes": 0},
        {"stepTimeoutInMinutes": "10081"},
        {"stepTimeoutInMinutes": float("inf")},
        {"status": 5},
        {"statusDetails": "text"},
        {"statusDetails": {"step": 1}},
        {"clientToken": 5},
        {"includeJobDocument": "yes"},
    ],
    ids=str,
)
def test_a_value_of_the_wrong_kind_is_rejected_with_the_reason(
    local_cloud: LocalCloud, device: Credential, wrong: dict[str, object]
) -> None:
    request = json.dumps({"status": "IN_PROGRESS", **wrong}).encode()
    with connected(local_cloud, device, "worker") as client:
        client.publish("$aws/things/worker/jobs/any/update", request)
        answer = client.receive()
    document = json.loads(answer.payload)
    assert answer.topic.endswith("/rejected")
    assert document["code"] == "InvalidRequest"
    assert next(iter(wrong)) in document["message"]


@pytest.mark.parametrize("payload", [b"[" * 5000, b"[]", b"\xff"], ids=["deep", "list", "bytes"])
def test_what_is_not_an_object_is_rejected(
    local_cloud: LocalCloud, device: Credential, payload: bytes
) -> None:
    with connected(local_cloud, device, "worker") as client:
        client.publish("$aws/things/worker/jobs/any/update", payload)
        assert client.receive().topic.endswith("/rejected")


@pytest.mark.parametrize("request_of", ["start-next", "{job}/update"])
def test_a_step_timer_is_set_over_mqtt_and_cancelled(
    local_cloud: LocalCloud, device: Credential, request_of: str
) -> None:
    thing, job = make_job(local_cloud)
    topic = f"$aws/things/{thing}/jobs/{request_of.format(job=job)}"
    asked = {"status": "IN_PROGRESS", "stepTimeoutInMinutes": "5"}
    with connected(local_cloud, device, thing) as client:
        client.publish(topic, json.dumps(asked).encode())
        assert client.receive().topic.endswith("/accepted")
        assert 0 < (seconds_left(local_cloud, thing, job) or 0) <= 300
        client.publish(topic, json.dumps({**asked, "stepTimeoutInMinutes": -1}).encode())
        assert client.receive().topic.endswith("/accepted")
    assert seconds_left(local_cloud, thing, job) is None


def test_a_step_timer_is_set_over_http(local_cloud: LocalCloud) -> None:
    thing, job = make_job(local_cloud)
    data = local_cloud.client("iot-jobs-data")
    data.start_next_pending_job_execution(thingName=thing, stepTimeoutInMinutes=5)
    assert 0 < (seconds_left(local_cloud, thing, job) or 0) <= 300
    data.update_job_execution(
        thingName=thing, jobId=job, status="IN_PROGRESS", stepTimeoutInMinutes=-1
    )
    assert seconds_left(local_cloud, thing, job) is None


def seconds_left(cloud: LocalCloud, thing: str, job: str) -> int | None:
    data = cloud.client("iot-jobs-data")
    execution = data.describe_job_execution(jobId=job, thingName=thing)["execution"]
    left: int | None = execution.get("approximateSecondsBeforeTimedOut")
    return left
