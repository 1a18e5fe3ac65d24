"""Shadow documents: what AWS refuses, its words, and metadata for each element."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

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


def nested(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = {"a": value}
    return value


REFUSED: dict[str, tuple[Any, int, str]] = {
    "large": ({"state": {"desired": {"a": "x" * 8200}}}, 413, "exceeds the maximum size"),
    "deep": ({"state": {"desired": nested(9)}}, 400, "too many levels of nesting"),
    "number": ({"state": {"desired": 5}}, 400, "Desired node must be an object"),
    "list": ({"state": {"reported": [1]}}, 400, "Reported node must be an object"),
    "section": ({"state": {"other": {}}}, 400, "State contains an invalid node"),
    "state": ({"state": 5}, 400, "State node must be an object"),
    "missing": ({"version": 1}, 400, "Missing required node: state"),
    "version": ({"state": {}, "version": "1"}, 400, "Invalid version"),
    "token": ({"state": {}, "clientToken": "x" * 65}, 400, "Invalid clientToken"),
    "token kind": ({"state": {}, "clientToken": {}}, 400, "Invalid clientToken"),
    "document": ([], 400, "Missing required node: state"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_bad_update_is_refused_with_the_reason(
    local_cloud: LocalCloud, device: Credential, what: str
) -> None:
    document, code, text = REFUSED[what]
    topic = "$aws/things/shadowed/shadow/update"
    with connected(local_cloud, device, "shadowed") as client:
        client.subscribe(f"{topic}/rejected")
        client.publish(topic, json.dumps(document).encode())
        answer = json.loads(client.receive().payload)
    assert (answer["code"], text in answer["message"]) == (code, True)


def test_what_no_parser_can_read_is_answered(local_cloud: LocalCloud, device: Credential) -> None:
    topic = "$aws/things/shadowed/shadow/name/n/update"
    with connected(local_cloud, device, "shadowed") as client:
        client.subscribe(f"{topic}/rejected")
        client.publish(topic, b"[" * 60_000)
        assert json.loads(client.receive().payload)["code"] == 400


def test_over_http_the_refusals_are_the_models(local_cloud: LocalCloud) -> None:
    data = local_cloud.client("iot-data")
    with pytest.raises(ClientError, match="No shadow exists with name: 'none~named'") as missing:
        data.get_thing_shadow(thingName="none", shadowName="named")
    assert missing.value.response["Error"]["Code"] == "ResourceNotFoundException"
    large = json.dumps(REFUSED["large"][0])
    with pytest.raises(data.exceptions.RequestEntityTooLargeException):
        data.update_thing_shadow(thingName="none", payload=large)


def test_a_document_at_the_limits_is_taken_and_each_element_is_stamped(
    local_cloud: LocalCloud,
) -> None:
    data = local_cloud.client("iot-data")
    state = {"state": {"desired": {"list": [1, {"a": 2}], "deep": nested(7), "gone": {"x": None}}}}
    data.update_thing_shadow(thingName="stamped", payload=json.dumps(state))
    shadow = json.loads(data.get_thing_shadow(thingName="stamped")["payload"].read())
    first, second = shadow["metadata"]["desired"]["list"]
    assert (set(first), set(second)) == ({"timestamp"}, {"a"})
    assert shadow["metadata"]["delta"]["list"] == [first, second]
    assert shadow["state"]["desired"]["gone"] == {}
