"""Topic rules: SQL, substitution templates, the role's permissions, actions that are not there."""

import json
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.wire.conftest import LocalCloud
from tests.wire.localcloud_sdk import Credential, add_certificate, policy
from tests.wire.raw_mqtt import RawMqtt, connected

pytestmark = pytest.mark.wire
ANYTHING = policy(
    ("Connect", ["client/*"]), ("Publish Receive", ["topic/*"]), ("Subscribe", ["topicfilter/*"])
)
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "iot.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}


@pytest.fixture(scope="module")
def device(local_cloud: LocalCloud) -> Credential:
    return add_certificate(local_cloud, ANYTHING)


def role(cloud: LocalCloud, *actions: str) -> str:
    iam, name = cloud.client("iam"), f"rules-{uuid.uuid4().hex[:8]}"
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]
    if actions:
        allowed = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        iam.put_role_policy(RoleName=name, PolicyName="rules", PolicyDocument=document)
    return str(made["Arn"])


@pytest.fixture(scope="module")
def publisher(local_cloud: LocalCloud) -> str:
    return role(local_cloud, "iot:Publish")


def make_rule(cloud: LocalCloud, sql: str, action: dict[str, Any], **more: Any) -> None:
    payload = {"sql": sql, "actions": [action], **more}
    name = f"rule_{uuid.uuid4().hex[:8]}"
    cloud.client("iot").create_topic_rule(ruleName=name, topicRulePayload=payload)


def republish(role_arn: str, topic: str) -> dict[str, Any]:
    return {"republish": {"roleArn": role_arn, "topic": topic, "qos": 1}}


def heard(client: RawMqtt, topic: str, message: object) -> tuple[str, Any]:
    client.publish(topic, json.dumps(message).encode())
    answer = client.receive()
    return answer.topic, json.loads(answer.payload)


def test_a_template_in_the_topic_is_filled_in(
    local_cloud: LocalCloud, device: Credential, publisher: str
) -> None:
    target = republish(publisher, "filled/out/${topic(3)}/${upper(v)}")
    make_rule(local_cloud, "SELECT v AS w FROM 'filled/in/+'", target)
    with connected(local_cloud, device, "rules") as client:
        client.subscribe("filled/out/#")
        assert heard(client, "filled/in/x", {"v": "b"}) == ("filled/out/x/B", {"w": "b"})


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("upper(v)", "AB"),
        ("concat(v, '-', n)", "ab-5"),
        ("substring(v, 1)", "b"),
        ("length(v)", 2),
        ("abs(0 - n)", 5),
        ("startswith(v, 'a')", True),
        ("md5(v)", "187ef4436122d1cc2f40dc2b92f0eba0"),
        ("round(n)", 5),
    ],
)
def test_functions_of_the_sql(
    local_cloud: LocalCloud, device: Credential, publisher: str, expression: str, value: object
) -> None:
    name = f"functions/{uuid.uuid4().hex[:8]}"
    sql = f"SELECT {expression} AS r FROM '{name}'"  # noqa: S608 - a rule of ours, on ourselves
    make_rule(local_cloud, sql, republish(publisher, f"{name}/out"))
    with connected(local_cloud, device, "rules") as client:
        client.subscribe(f"{name}/out")
        assert heard(client, name, {"v": "ab", "n": 5})[1] == {"r": value}


def test_in_takes_a_list(local_cloud: LocalCloud, device: Credential, publisher: str) -> None:
    target = republish(publisher, "chosen/out")
    make_rule(local_cloud, "SELECT * FROM 'chosen/in' WHERE v IN [1, 'b']", target)
    with connected(local_cloud, device, "rules") as client:
        client.subscribe("chosen/out")
        client.published("chosen/in", b'{"v": 2}')
        assert heard(client, "chosen/in", {"v": "b"})[1] == {"v": "b"}


def test_a_role_that_may_not_leads_to_the_error_action(
    local_cloud: LocalCloud, device: Credential, publisher: str
) -> None:
    helpless = role(local_cloud)
    failed = republish(publisher, "denied/error")
    target = republish(helpless, "denied/out")
    make_rule(local_cloud, "SELECT * FROM 'denied/in'", target, errorAction=failed)
    with connected(local_cloud, device, "rules") as client:
        client.subscribe("denied/out", "denied/error")
        topic, error = heard(client, "denied/in", {})
    assert topic == "denied/error"
    assert "AccessDenied" in error["failures"][0]["errorMessage"]


def test_an_action_that_is_not_there_is_refused(local_cloud: LocalCloud) -> None:
    s3 = {"s3": {"roleArn": "r", "bucketName": "b", "key": "k"}}
    with pytest.raises(ClientError, match="no action s3"):
        make_rule(local_cloud, "SELECT * FROM 'a'", s3)


@pytest.mark.parametrize(
    "selected",
    [
        "CASE v WHEN 2 THEN 'two' ELSE 'other' END AS w",
        "{'a': v} AS w",
        "[v, 1] AS w",
        "v > 1 AS w",
        "-v AS w",
        "upper(-v) AS w",
        "regexp_matches(v, 'a') AS w",
        "true AS w",
        "v w",
        "v AS 'w'",
        f"{'upper(' * 2000}v{')' * 2000} AS w",
    ],
)
def test_what_cannot_be_read_is_refused(
    local_cloud: LocalCloud, publisher: str, selected: str
) -> None:
    sql = f"SELECT {selected} FROM 'a'"  # noqa: S608 - a rule of ours
    with pytest.raises(ClientError, match="cannot read"):
        make_rule(local_cloud, sql, republish(publisher, "somewhere/else"))


def test_a_function_that_is_not_there_is_refused(local_cloud: LocalCloud, publisher: str) -> None:
    with pytest.raises(ClientError, match=r"no function frobnicate\(\)"):
        make_rule(
            local_cloud, "SELECT frobnicate(v) FROM 'a'", republish(publisher, "somewhere/else")
        )
