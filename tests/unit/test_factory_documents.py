"""The policies and templates in config/ allow what is needed, and nothing else."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from device.errors import ConfigurationError
from factory.account.cloud import Account
from factory.account.documents import load_policy, load_template, same_document
from factory.account.registered_devices import ATTRIBUTE
from factory.account.thing_policy import RENEWAL_DOCUMENT, THING_POLICY, thing_policy
from factory.methods import claim
from factory.station.station import CLAIM_COMMON_NAME

ACCOUNT = Account("123456789012", "eu-central-1")
PREFIX = "arn:aws:iot:eu-central-1:123456789012:"
REQUESTS = [
    "$aws/certificates/create/json",
    "$aws/certificates/create-from-csr/json",
    "$aws/provisioning-templates/firstboot-claim/provision/json",
]
REPLIES = [f"{topic}/{reply}" for topic in REQUESTS for reply in ("accepted", "rejected")]


def statements(name: str) -> dict[str, Any]:
    document = json.loads(load_policy(name, ACCOUNT.placeholders))
    assert document["Version"] == "2012-10-17"
    by_action = {statement["Action"]: statement for statement in document["Statement"]}
    assert len(by_action) == len(document["Statement"]), "an action has two statements"
    assert {statement["Effect"] for statement in document["Statement"]} == {"Allow"}
    return by_action


def test_claim_policy_allows_exactly_the_topics_of_provisioning() -> None:
    allowed = {action: each["Resource"] for action, each in statements("firstboot-claim").items()}
    assert allowed == {
        "iot:Connect": f"{PREFIX}client/claim-*",
        "iot:Publish": [f"{PREFIX}topic/{topic}" for topic in REQUESTS],
        "iot:Receive": [f"{PREFIX}topic/{topic}" for topic in REPLIES],
        "iot:Subscribe": [f"{PREFIX}topicfilter/{topic}" for topic in REPLIES],
    }


THING = "${iot:Connection.Thing.ThingName}"
OWN_TOPICS = (
    f"$aws/things/{THING}/shadow/*",
    f"$aws/things/{THING}/jobs/*",
    f"$aws/commands/things/{THING}/executions/*",
    f"app/{THING}/*",
)
"""What a device at work speaks on, beside its telemetry."""


def test_thing_policy_allows_only_the_things_own_connection_and_topics() -> None:
    document = json.loads(load_policy("firstboot-device", ACCOUNT.placeholders))
    connect, telemetry, both, subscribe = document["Statement"]
    assert {each["Effect"] for each in document["Statement"]} == {"Allow"}
    assert (connect["Action"], connect["Resource"]) == ("iot:Connect", f"{PREFIX}client/{THING}")
    assert connect["Condition"] == {"Bool": {"iot:Connection.Thing.IsAttached": "true"}}
    assert (telemetry["Action"], telemetry["Resource"]) == (
        "iot:Publish",
        f"{PREFIX}topic/dt/{THING}/telemetry",
    )
    assert both["Action"] == ["iot:Publish", "iot:Receive"]
    assert both["Resource"] == [f"{PREFIX}topic/{topic}" for topic in OWN_TOPICS]
    assert subscribe["Action"] == "iot:Subscribe"
    assert subscribe["Resource"] == [f"{PREFIX}topicfilter/{topic}" for topic in OWN_TOPICS]


@pytest.mark.parametrize("name", ["firstboot-claim", "firstboot-device"])
def test_a_wildcard_stands_only_in_the_claims_client_id_and_below_the_things_own_topics(
    name: str,
) -> None:
    text = load_policy(name, ACCOUNT.placeholders).replace("client/claim-*", "")
    for topic in OWN_TOPICS:
        text = text.replace(topic, "")
    assert "*" not in text
    assert "?" not in text


@pytest.mark.parametrize("name", ["firstboot-claim", "firstboot-device"])
@pytest.mark.parametrize(
    ("partition", "region"), [("aws-us-gov", "us-gov-west-1"), ("aws-cn", "cn-northwest-1")]
)
def test_policies_fit_awss_limit_in_the_regions_with_the_longest_names(
    name: str, partition: str, region: str
) -> None:
    account = Account("123456789012", region, partition)
    assert len(load_policy(name, account.placeholders)) <= 2048


def test_only_iot_may_assume_the_role_and_only_for_this_account() -> None:
    trust = json.loads(load_policy(claim.ROLE, ACCOUNT.placeholders))
    (statement,) = trust["Statement"]
    assert statement["Principal"] == {"Service": "iot.amazonaws.com"}
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}


def test_template_declares_every_parameter_that_it_refers_to() -> None:
    template = json.loads(load_template(claim.TEMPLATE))
    assert set(refs(template["Resources"])) == {"SerialNumber", "AWS::IoT::Certificate::Id"}
    # What a device may send for the hook is declared, or AWS might refuse it.
    for optional in ("Proof", "GivenUpCertificates"):
        assert template["Parameters"].pop(optional) == {"Type": "String", "Default": "none"}
    assert set(template["Parameters"]) == {"SerialNumber", "AWS::IoT::Certificate::Id"}


def test_template_gives_the_thing_policy_and_marks_what_it_creates() -> None:
    resources = json.loads(load_template(claim.TEMPLATE))["Resources"]
    assert resources["policy"]["Properties"] == {"PolicyName": THING_POLICY}
    assert resources["thing"]["Properties"]["ThingName"] == {"Ref": "SerialNumber"}
    assert resources["thing"]["Properties"]["AttributePayload"] == {ATTRIBUTE: claim.TEMPLATE}
    # MERGE would mark, and so let a teardown delete, a thing that was there before.
    assert resources["thing"]["OverrideSettings"] == {"AttributePayload": "DO_NOTHING"}


def refs(part: object) -> list[str]:
    if isinstance(part, list):
        return [ref for each in part for ref in refs(each)]
    if not isinstance(part, dict):
        return []
    own = [part["Ref"]] if "Ref" in part else []
    return own + [ref for each in part.values() for ref in refs(each)]


def test_claims_common_name_is_not_a_serial_number_by_chance() -> None:
    assert CLAIM_COMMON_NAME == claim.CLAIM_POLICY


def write(folder: Path, text: str) -> Path:
    (folder / "policies").mkdir()
    (folder / "policies" / "p.json").write_text(text)
    return folder


def test_awss_own_variables_and_topics_are_left_to_aws(tmp_path: Path) -> None:
    folder = write(tmp_path, '{"a": "${iot:ClientId}", "b": "$aws/things", "c": "@region!"}')
    text = load_policy("p", {"region": "eu-west-1"}, folder)
    assert json.loads(text) == {"a": "${iot:ClientId}", "b": "$aws/things", "c": "eu-west-1!"}


def test_unknown_placeholder_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path, '{"a": "@regoin"}')
    with pytest.raises(ConfigurationError, match=r"p\.json: @regoin: .*@account") as raised:
        load_policy("p", ACCOUNT.placeholders, folder)
    assert raised.value.key == "@regoin"


@pytest.mark.parametrize("text", ["", "{", '{"a": "@1"}'])
def test_unusable_document_is_named(tmp_path: Path, text: str) -> None:
    folder = write(tmp_path, text)
    with pytest.raises(ConfigurationError, match=r"p\.json: is not usable JSON"):
        load_policy("p", {}, folder)


def test_missing_document_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"templates/none\.json: cannot be read"):
        load_template("none", tmp_path)


def test_white_space_and_order_are_no_drift() -> None:
    assert same_document('{"a": 1, "b": [2]}', '{"b":[2],"a":1}')
    assert not same_document('{"a": 1}', '{"a": 2}')
    assert not same_document("not JSON", "{}")


def test_every_call_of_the_station_is_in_its_docs() -> None:
    code = Path(claim.__file__).parents[1]
    sources = "".join(file.read_text() for file in code.rglob("*.py"))
    calls = set(re.findall(r'"(?:iot|iam|sts|lambda|dynamodb|kms)",\s*"([A-Z]\w+)"', sources))
    docs = (code.parent / "docs" / "station.md").read_text()
    listed = docs.partition("## When it goes wrong")[2]
    assert len(calls) > 30
    assert [call for call in sorted(calls) if not re.search(rf"\b{call}\b", listed)] == []


@pytest.mark.parametrize(
    "text", ['{"a": 1, "a": 2}', '{"Statement": [{"Effect": "Deny", "Effect": "Allow"}]}']
)
def test_key_that_is_there_twice_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "p.json").write_text(text)
    with pytest.raises(ConfigurationError, match=r"p.json: .*the key '(a|Effect)' is there twice"):
        load_policy("p", {}, tmp_path)


@pytest.mark.parametrize(
    ("partition", "region"),
    [("aws", "ap-southeast-1"), ("aws-cn", "cn-northwest-1"), ("aws-us-gov", "us-gov-west-1")],
)
def test_the_device_policy_with_renewal_is_not_too_long_for_aws_iot(
    partition: str, region: str
) -> None:
    """Names of Regions have at most 14 characters; all other names in it are fixed."""
    values = {"partition": partition, "region": region, "account": "1" * 12}
    assert len(thing_policy(values, renews=True)) <= 2048


def test_the_device_policy_with_renewal_allows_what_its_two_documents_allow() -> None:
    """Whichever way the statements are put together."""
    values = ACCOUNT.placeholders
    parts = [load_policy(name, values) for name in (THING_POLICY, RENEWAL_DOCUMENT)]
    allowed = set().union(*map(allowances, parts))
    useless = ("iot:Receive", f"{PREFIX}topic/dt/{THING}/telemetry", "null")

    assert allowances(thing_policy(values, renews=True)) - {useless} == allowed


def allowances(policy: str) -> set[tuple[str, str, str]]:
    """Return each action with each resource of its kind, and the condition."""
    kinds = {"iot:Connect": "client", "iot:Subscribe": "topicfilter"}
    return {
        (action, resource, json.dumps(statement.get("Condition")))
        for statement in json.loads(policy)["Statement"]
        for action in listed(statement["Action"])
        for resource in listed(statement["Resource"])
        if f":{kinds.get(action, 'topic')}/" in resource
    }


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
