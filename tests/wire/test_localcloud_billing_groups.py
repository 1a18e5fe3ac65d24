"""Billing groups: what boto3 can do with them, and what templates and things know of them."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.wire.conftest import LocalCloud
from tests.wire.localcloud_registry import mark, template
from tests.wire.localcloud_sdk import new_csr

pytestmark = pytest.mark.wire


@pytest.fixture(scope="module")
def iot(local_cloud: LocalCloud) -> Any:
    return local_cloud.client("iot")


@pytest.fixture
def group(iot: Any) -> Iterator[str]:
    name = mark("group")
    iot.create_billing_group(billingGroupName=name)
    yield name
    iot.delete_billing_group(billingGroupName=name)


@pytest.fixture
def thing(iot: Any) -> str:
    name = mark("thing")
    iot.create_thing(thingName=name)
    return name


def things_in(iot: Any, group: str) -> list[str]:
    found: list[str] = iot.list_things_in_billing_group(billingGroupName=group)["things"]
    return found


def test_a_group_is_made_described_changed_and_deleted(iot: Any) -> None:
    name = mark("group")
    properties = {"billingGroupDescription": "lamps"}
    made = iot.create_billing_group(billingGroupName=name, billingGroupProperties=properties)
    assert made["billingGroupArn"].endswith(f":billinggroup/{name}")
    described = iot.describe_billing_group(billingGroupName=name)
    assert described["billingGroupId"] == made["billingGroupId"]
    assert (described["version"], described["billingGroupProperties"]) == (1, properties)
    changed = {"billingGroupDescription": "bulbs"}
    updated = iot.update_billing_group(
        billingGroupName=name, billingGroupProperties=changed, expectedVersion=1
    )
    assert updated["version"] == 2
    assert iot.describe_billing_group(billingGroupName=name)["billingGroupProperties"] == changed
    iot.delete_billing_group(billingGroupName=name, expectedVersion=2)
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        iot.describe_billing_group(billingGroupName=name)
    iot.delete_billing_group(billingGroupName=name)


def test_the_same_group_again_is_the_same_group_and_another_a_conflict(
    iot: Any, group: str
) -> None:
    before = iot.describe_billing_group(billingGroupName=group)
    again = iot.create_billing_group(billingGroupName=group)
    assert again["billingGroupId"] == before["billingGroupId"]
    with pytest.raises(iot.exceptions.ResourceAlreadyExistsException) as refused:
        iot.create_billing_group(
            billingGroupName=group, billingGroupProperties={"billingGroupDescription": "x"}
        )
    assert refused.value.response["resourceArn"] == before["billingGroupArn"]


@pytest.mark.parametrize("operation", ["update", "delete"])
def test_an_old_version_is_refused(iot: Any, group: str, operation: str) -> None:
    more: dict[str, Any] = {"billingGroupProperties": {}} if operation == "update" else {}
    with pytest.raises(iot.exceptions.VersionConflictException):
        getattr(iot, f"{operation}_billing_group")(
            billingGroupName=group, expectedVersion=7, **more
        )


def test_groups_are_listed_by_name_and_in_pages(iot: Any) -> None:
    prefix = mark("group")
    names = [f"{prefix}-{number}" for number in range(3)]
    for name in names:
        iot.create_billing_group(billingGroupName=name)
    pages = iot.get_paginator("list_billing_groups").paginate(
        namePrefixFilter=prefix, PaginationConfig={"PageSize": 2}
    )
    assert [found["groupName"] for page in pages for found in page["billingGroups"]] == names


@pytest.mark.parametrize("token", ["garbage", "Z2FyYmFnZQ=="])
def test_a_page_that_does_not_exist(iot: Any, token: str) -> None:
    with pytest.raises(iot.exceptions.InvalidRequestException, match="nextToken"):
        iot.list_billing_groups(nextToken=token)


def test_a_thing_is_added_and_removed(iot: Any, group: str, thing: str) -> None:
    iot.add_thing_to_billing_group(billingGroupName=group, thingName=thing)
    iot.add_thing_to_billing_group(billingGroupName=group, thingName=thing)
    assert things_in(iot, group) == [thing]
    assert iot.describe_thing(thingName=thing)["billingGroupName"] == group
    iot.remove_thing_from_billing_group(billingGroupName=group, thingName=thing)
    iot.remove_thing_from_billing_group(billingGroupName=group, thingName=thing)
    assert things_in(iot, group) == []
    assert "billingGroupName" not in iot.describe_thing(thingName=thing)


def test_by_arn_as_well(iot: Any, group: str, thing: str) -> None:
    arns = {
        "billingGroupArn": iot.describe_billing_group(billingGroupName=group)["billingGroupArn"],
        "thingArn": iot.describe_thing(thingName=thing)["thingArn"],
    }
    iot.add_thing_to_billing_group(**arns)
    assert things_in(iot, group) == [thing]


def test_a_thing_is_in_one_group_only(iot: Any, group: str, thing: str) -> None:
    other = mark("group")
    iot.create_billing_group(billingGroupName=other)
    iot.add_thing_to_billing_group(billingGroupName=group, thingName=thing)
    with pytest.raises(iot.exceptions.InvalidRequestException, match=group):
        iot.add_thing_to_billing_group(billingGroupName=other, thingName=thing)


def test_a_group_that_goes_lets_its_things_go(iot: Any, thing: str) -> None:
    name = mark("group")
    iot.create_billing_group(billingGroupName=name)
    iot.add_thing_to_billing_group(billingGroupName=name, thingName=thing)
    iot.delete_billing_group(billingGroupName=name)
    assert "billingGroupName" not in iot.describe_thing(thingName=thing)


def test_a_thing_that_goes_is_in_no_group(iot: Any, group: str, thing: str) -> None:
    iot.add_thing_to_billing_group(billingGroupName=group, thingName=thing)
    iot.delete_thing(thingName=thing)
    assert things_in(iot, group) == []


@pytest.mark.parametrize(
    "names",
    [
        {"billingGroupName": "no-such-group", "thingName": "any"},
        {"billingGroupName": "no-such-group"},
        {"thingName": "any"},
    ],
)
def test_what_is_not_there_is_refused(iot: Any, names: dict[str, str]) -> None:
    with pytest.raises(ClientError):
        iot.add_thing_to_billing_group(**names)


def test_a_thing_is_made_in_a_group(iot: Any, group: str) -> None:
    name = mark("thing")
    iot.create_thing(thingName=name, billingGroupName=group)
    assert things_in(iot, group) == [name]
    iot.create_thing(thingName=name, billingGroupName=group)
    with pytest.raises(iot.exceptions.ResourceAlreadyExistsException):
        iot.create_thing(thingName=name)
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        iot.create_thing(thingName=mark("thing"), billingGroupName="no-such-group")


def test_a_template_puts_its_thing_into_a_group(iot: Any, group: str) -> None:
    body = template(
        {"ThingName": {"Ref": "SN"}, "BillingGroup": {"Ref": "Group"}},
        certificate={"CertificateSigningRequest": {"Ref": "CSR"}},
    )
    name, csr = mark("SN"), new_csr("SN")[0]
    iot.register_thing(templateBody=body, parameters={"SN": name, "CSR": csr, "Group": group})
    assert things_in(iot, group) == [name]
    other = mark("group")
    iot.create_billing_group(billingGroupName=other)
    with pytest.raises(iot.exceptions.ResourceRegistrationFailureException, match="conflicts"):
        iot.register_thing(templateBody=body, parameters={"SN": name, "CSR": csr, "Group": other})


def test_tags(iot: Any) -> None:
    name, tags = mark("group"), [{"Key": "cost-centre", "Value": "7"}]
    arn = iot.create_billing_group(billingGroupName=name, tags=tags)["billingGroupArn"]
    assert iot.list_tags_for_resource(resourceArn=arn)["tags"] == tags
    iot.tag_resource(resourceArn=arn, tags=[{"Key": "line", "Value": "2"}])
    assert len(iot.list_tags_for_resource(resourceArn=arn)["tags"]) == 2
    with pytest.raises(ClientError, match="tags"):
        iot.create_billing_group(billingGroupName=mark("group"), tags=[{"Key": "aws:x"}])


def test_iam_can_allow_one_group_only(local_cloud: LocalCloud, iot: Any, group: str) -> None:
    other = mark("group")
    iot.create_billing_group(billingGroupName=other)
    iam, user, thing = local_cloud.client("iam"), mark("user"), mark("thing")
    iot.create_thing(thingName=thing)
    iam.create_user(UserName=user)
    rights = {
        "Effect": "Allow",
        "Action": ["iot:DescribeBillingGroup", "iot:AddThingToBillingGroup"],
        "Resource": f"arn:aws:iot:us-east-1:000000000000:billinggroup/{group}",
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [rights]})
    iam.put_user_policy(UserName=user, PolicyName="own", PolicyDocument=document)
    key = iam.create_access_key(UserName=user)["AccessKey"]
    limited = boto3.client(
        "iot",
        endpoint_url=local_cloud.api_url,
        region_name="us-east-1",
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
    )
    assert limited.describe_billing_group(billingGroupName=group)
    limited.add_thing_to_billing_group(billingGroupName=group, thingName=thing)
    with pytest.raises(ClientError, match="not authorized"):
        limited.describe_billing_group(billingGroupName=other)
    for named in ({"billingGroupName": other}, {}):
        with pytest.raises(ClientError, match="not authorized"):
            limited.add_thing_to_billing_group(thingName=thing, **named)
