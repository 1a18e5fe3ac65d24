"""Groups, types and billing groups that a template names are made, shared, and removed."""

import json
from collections.abc import Iterator

import pytest

from factory.account.aws import Aws
from factory.account.changes import Change, Outcome
from factory.account.template_resources import ensure_named, named_in, remove_named
from factory.errors import STILL_IN_USE, CloudRejectedError
from tests.support.station_cloud import CutCloud, PowerCutError, aws_of, contents
from tests.wire.conftest import LocalCloud

pytestmark = pytest.mark.wire

THING = {"ThingGroups": ["a-group"], "ThingTypeName": "a-type", "BillingGroup": "a-payer"}
TEMPLATE = json.dumps(
    {"Resources": {"thing": {"Type": "AWS::IoT::Thing", "Properties": THING}, "other": {}}}
)


@pytest.fixture
def aws(local_cloud: LocalCloud) -> Iterator[Aws]:
    cloud = aws_of(local_cloud, account="315987654321")
    yield cloud
    for thing in contents(cloud)["things"]:
        cloud.call("iot", "DeleteThing", thingName=thing)
    for user in ("one", "two"):
        try:
            remove_named(cloud, TEMPLATE, user)
        except CloudRejectedError as error:
            assert error.row is STILL_IN_USE  # noqa: PT017 - or it is gone
            cloud.call("iot", "DeleteThingType", thingTypeName="a-type")


def outcomes(changes: object) -> list[Outcome]:
    assert isinstance(changes, list)
    return [each.outcome for each in changes if isinstance(each, Change)]


def test_what_is_named_by_a_parameter_is_not_the_stations_to_make() -> None:
    thing = {"ThingGroups": [{"Ref": "Group"}, "b"], "ThingTypeName": {"Ref": "Type"}}
    body = json.dumps({"Resources": {"thing": {"Properties": thing}}})
    assert [(kind.label, name) for kind, name in named_in(body)] == [("thing group", "b")]


def test_all_kinds_are_made_once_and_removed(aws: Aws) -> None:
    before = contents(aws)
    assert outcomes(ensure_named(aws, TEMPLATE, "one")) == [Outcome.CREATED] * 3
    found = contents(aws)
    assert [list(found[kind]) for kind in ("groups", "types", "billing groups")] == [
        ["a-group"], ["a-type"], ["a-payer"],
    ]  # fmt: skip
    watched = CutCloud(aws)
    assert outcomes(ensure_named(watched, TEMPLATE, "one")) == [Outcome.UNCHANGED] * 3
    assert watched.changes == []

    assert outcomes(remove_named(aws, TEMPLATE, "one")) == [Outcome.REMOVED] * 3

    assert contents(aws) == before
    assert outcomes(remove_named(aws, TEMPLATE, "one")) == [Outcome.ABSENT] * 3


def test_two_methods_share_what_both_name(aws: Aws) -> None:
    ensure_named(aws, TEMPLATE, "one")
    assert outcomes(ensure_named(aws, TEMPLATE, "two")) == [Outcome.UPDATED] * 3
    assert outcomes(remove_named(aws, TEMPLATE, "one")) == [Outcome.KEPT] * 3
    assert outcomes(remove_named(aws, TEMPLATE, "two")) == [Outcome.REMOVED] * 3


def test_what_things_are_in_is_kept(aws: Aws) -> None:
    ensure_named(aws, TEMPLATE, "one")
    aws.call(
        "iot", "CreateThing",
        thingName="a-thing", thingTypeName="a-type", billingGroupName="a-payer",
    )  # fmt: skip
    aws.call("iot", "AddThingToThingGroup", thingGroupName="a-group", thingName="a-thing")
    assert outcomes(remove_named(aws, TEMPLATE, "one")) == [Outcome.KEPT] * 3


def test_what_somebody_else_made_is_used_and_kept(aws: Aws) -> None:
    aws.call("iot", "CreateThingGroup", thingGroupName="a-group")
    assert outcomes(ensure_named(aws, TEMPLATE, "one"))[0] is Outcome.UNCHANGED
    assert outcomes(remove_named(aws, TEMPLATE, "one"))[0] is Outcome.KEPT
    aws.call("iot", "DeleteThingGroup", thingGroupName="a-group")


@pytest.mark.parametrize("reply_lost", [False, True])
@pytest.mark.parametrize("cut_at", range(1, 5))
def test_interrupted_removal_is_completed_by_the_next(
    aws: Aws, cut_at: int, *, reply_lost: bool
) -> None:
    before = contents(aws)
    ensure_named(aws, TEMPLATE, "one")
    with pytest.raises(PowerCutError):
        remove_named(CutCloud(aws, cut_at, reply_lost=reply_lost), TEMPLATE, "one")
    remove_named(aws, TEMPLATE, "one")
    assert contents(aws) == before


def test_type_that_was_deprecated_is_taken_back_into_use(aws: Aws) -> None:
    ensure_named(aws, TEMPLATE, "one")
    aws.call("iot", "DeprecateThingType", thingTypeName="a-type")
    changed = [each for each in ensure_named(aws, TEMPLATE, "one") if each.is_change]
    assert [(each.kind, each.note) for each in changed] == [("thing type", "no longer deprecated")]
