"""What someone changed in the account is brought back by the next prepare, and named."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from device.errors import ExitCode
from factory.account.allow_list import TABLE
from factory.account.aws import Aws
from factory.account.ca_certificates import CertificateMode
from factory.account.changes import Outcome
from factory.account.cloud import Value, structure, text
from factory.errors import NOT_MADE_BY_STATION, OTHER_ACCOUNT, REGISTERED_OTHERWISE
from factory.methods import METHODS, jitr
from factory.methods.method import Choices
from factory.station.station import open_station
from tests.support.errors import raises
from tests.support.preparations import (
    CASES,
    SIDE_BY_SIDE,
    is_whole,
    outcome_of,
    prepare,
    teardown,
)
from tests.support.station_cloud import REGION, CutCloud, aws_of, contents
from tests.wire.conftest import LocalCloud

pytestmark = pytest.mark.wire

ACCOUNT: Final = "611987654321"
CA: Final = "CA certificate"
JITR: Final = CASES["jitr"]
HOOK: Final = CASES["claim-hook"]
Parameters = dict[str, Value]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The station that prepared everything."""
    return tmp_path_factory.mktemp("standing") / "station"


@pytest.fixture(scope="module")
def aws(local_cloud: LocalCloud, folder: Path) -> Iterator[Aws]:
    """An account in which everything is prepared; each test leaves it so."""
    cloud = aws_of(local_cloud, account=ACCOUNT)
    for name in SIDE_BY_SIDE:
        prepare(CASES[name], cloud, folder)
    yield cloud
    for name in SIDE_BY_SIDE:
        CASES[name].method.teardown(cloud, None, devices=False)


def ca_of(method: str, folder: Path) -> str:
    with open_station(folder, read_only=True) as station:
        return station.authorities.open(method).certificate_id


# --- the CA ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("drift", "words"),
    [
        ({"newStatus": "INACTIVE"}, "it was INACTIVE"),
        ({"newAutoRegistrationStatus": "DISABLE"}, "its auto-registration was off"),
    ],
)
def test_ca_that_was_turned_off_is_turned_on_again(
    aws: Aws, folder: Path, drift: Parameters, words: str
) -> None:
    ca = ca_of("jitp", folder)
    aws.call("iot", "UpdateCACertificate", certificateId=ca, **drift)

    report = prepare(CASES["jitp"], aws, folder)

    assert outcome_of(report, CA) == (Outcome.UPDATED, words)
    assert is_whole(CASES["jitp"], aws, folder)


def test_template_by_name_gives_way_to_the_template_itself_and_back(aws: Aws, folder: Path) -> None:
    inline = prepare(CASES["jitp"], aws, folder, Choices(inline_template=True))
    found = aws.call("iot", "DescribeCACertificate", certificateId=ca_of("jitp", folder))
    by_name = prepare(CASES["jitp"], aws, folder)

    assert outcome_of(inline, CA) == (Outcome.UPDATED, "it had another template or role")
    config = structure(found, "registrationConfig")
    assert "AWS::IoT::Certificate::CommonName" in text(config, "templateBody")
    assert text(config, "roleArn").endswith(":role/firstboot-provisioning")
    assert outcome_of(by_name, CA)[0] is Outcome.UPDATED
    assert is_whole(CASES["jitp"], aws, folder)


def test_other_mode_must_be_registered_anew(aws: Aws, folder: Path) -> None:
    wanted = Choices(CertificateMode.SNI_ONLY)

    with raises(REGISTERED_OTHERWISE, match="DEFAULT, not SNI_ONLY") as raised:
        prepare(CASES["jitp"], aws, folder, wanted)

    assert "factory teardown --method jitp" in raised.value.next_step
    teardown(CASES["jitp"], aws, folder)
    again = prepare(CASES["jitp"], aws, folder, wanted)
    assert outcome_of(again, CA) == (Outcome.CREATED, "SNI_ONLY")
    teardown(CASES["jitp"], aws, folder)
    prepare(CASES["jitp"], aws, folder)


def test_registration_must_not_have_a_template(aws: Aws, folder: Path) -> None:
    config: Value = {"templateName": "firstboot-jitp"}
    ca = ca_of("jitr", folder)
    aws.call("iot", "UpdateCACertificate", certificateId=ca, registrationConfig=config)

    with raises(REGISTERED_OTHERWISE, match="with a template, not without"):
        prepare(JITR, aws, folder)

    teardown(JITR, aws, folder)
    prepare(JITR, aws, folder)


def test_ca_in_sni_only_mode_is_registered_in_two_regions(
    local_cloud: LocalCloud, tmp_path: Path
) -> None:
    regions = [aws_of(local_cloud, region, ACCOUNT) for region in ("eu-north-1", "eu-west-3")]
    reports = [prepare(CASES["jitp-inline"], cloud, tmp_path / "station") for cloud in regions]
    assert [outcome_of(each, CA) for each in reports] == [(Outcome.CREATED, "SNI_ONLY")] * 2
    for cloud in regions:
        METHODS["jitp"].teardown(cloud, None, devices=False)


# --- Lambda, rule, role, hook ----------------------------------------------------------


@pytest.mark.parametrize(
    ("drift", "kind", "words"),
    [
        (
            ("lambda", "UpdateFunctionConfiguration",
             {"FunctionName": jitr.FUNCTION, "Timeout": 60, "Environment": {"Variables": {}}}),
            "Lambda function", "restored: Environment, Timeout",
        ),
        (
            ("lambda", "RemovePermission",
             {"FunctionName": jitr.FUNCTION, "StatementId": "firstboot-iot"}),
            "Lambda function", "restored: permission to invoke it",
        ),
        (("iot", "DisableTopicRule", {"ruleName": jitr.RULE}),
         "topic rule", "restored: ruleDisabled"),
        (
            ("iam", "DeleteRolePolicy",
             {"RoleName": jitr.FUNCTION, "PolicyName": f"{REGION}.{jitr.FUNCTION}"}),
            "Lambda role", f"policy {REGION}.{jitr.FUNCTION} put in",
        ),
    ],
    ids=["settings", "permission", "rule", "role"],
)  # fmt: skip
def test_what_jitr_needs_is_brought_back(
    aws: Aws, folder: Path, drift: tuple[str, str, Parameters], kind: str, words: str
) -> None:
    service, operation, parameters = drift
    aws.call(service, operation, **parameters)

    report = prepare(JITR, aws, folder)

    assert outcome_of(report, kind) == (Outcome.UPDATED, words)
    assert is_whole(JITR, aws, folder)


def test_other_code_is_replaced(aws: Aws, folder: Path) -> None:
    right = contents(aws)["functions"]
    other = jitr._function(aws).package.replace(b"refused", b"allowed")
    aws.call("lambda", "UpdateFunctionCode", FunctionName=jitr.FUNCTION, ZipFile=other)
    assert contents(aws)["functions"] != right

    report = prepare(JITR, aws, folder)

    assert outcome_of(report, "Lambda function")[1] == "restored: code"
    assert contents(aws)["functions"] == right


def test_permission_for_everybody_is_replaced(aws: Aws, folder: Path) -> None:
    statement: Parameters = {"FunctionName": jitr.FUNCTION, "StatementId": "firstboot-iot"}
    aws.call("lambda", "RemovePermission", **statement)
    aws.call("lambda", "AddPermission", Action="lambda:InvokeFunction", Principal="*", **statement)

    prepare(JITR, aws, folder)

    policy = json.loads(text(aws.call("lambda", "GetPolicy", FunctionName=jitr.FUNCTION), "Policy"))
    (found,) = policy["Statement"]
    assert found["Principal"] == {"Service": "iot.amazonaws.com"}
    assert found["Condition"]["ArnLike"]["AWS:SourceArn"].endswith(f":rule/{jitr.RULE}")
    assert found["Condition"]["StringEquals"]["AWS:SourceAccount"] == ACCOUNT


def test_hook_that_somebody_took_off_is_put_on_again(aws: Aws, folder: Path) -> None:
    off: Parameters = {"templateName": "firstboot-claim", "removePreProvisioningHook": True}
    aws.call("iot", "UpdateProvisioningTemplate", **off)

    report = prepare(HOOK, aws, folder)

    assert outcome_of(report, "provisioning template") == (
        Outcome.UPDATED, "restored: preProvisioningHook",
    )  # fmt: skip


def test_hook_is_found_by_a_station_that_did_not_ask_for_it(aws: Aws, tmp_path: Path) -> None:
    report = prepare(HOOK, aws, tmp_path / "other", Choices())

    assert outcome_of(report, "Lambda function")[0] is Outcome.UNCHANGED
    with open_station(tmp_path / "other") as station:
        assert station.asks_for_proof


def test_claim_gets_its_hook_later(local_cloud: LocalCloud, tmp_path: Path) -> None:
    cloud = aws_of(local_cloud, "eu-north-1", ACCOUNT)
    asks = []
    for choices in (Choices(), Choices(hook=True)):
        prepare(HOOK, cloud, tmp_path / "station", choices)
        with open_station(tmp_path / "station", read_only=True) as station:
            asks.append(station.asks_for_proof)
    assert asks == [False, True]
    HOOK.method.teardown(cloud, None, devices=False)


# --- what is someone else's -----------------------------------------------------------


@pytest.mark.parametrize("kind", ["table", "function", "role", "rule"])
def test_what_others_made_is_neither_changed_nor_removed(aws: Aws, folder: Path, kind: str) -> None:
    mark(aws, kind, is_ours=False)
    before = contents(aws)
    with raises(NOT_MADE_BY_STATION, match="the station did not create it"):
        prepare(JITR, aws, folder)
    assert contents(aws) == before

    with raises(NOT_MADE_BY_STATION):
        teardown(JITR, aws, folder)

    mark(aws, kind, is_ours=True)
    prepare(JITR, aws, folder)


def test_ca_that_others_registered_is_neither_changed_nor_removed(aws: Aws, folder: Path) -> None:
    arn = f"arn:aws:iot:{REGION}:{ACCOUNT}:cacert/{ca_of('jitr', folder)}"
    keys: list[Value] = ["made-by"]
    aws.call("iot", "UntagResource", resourceArn=arn, tagKeys=keys)
    with raises(NOT_MADE_BY_STATION):
        prepare(JITR, aws, folder)

    assert outcome_of(teardown(JITR, aws, folder), CA)[0] is Outcome.ABSENT

    tags: list[Value] = [{"Key": "made-by", "Value": "firstboot-station"}]
    aws.call("iot", "TagResource", resourceArn=arn, tags=tags)
    prepare(JITR, aws, folder)


def mark(aws: Aws, kind: str, *, is_ours: bool) -> None:
    """Put the station's tag on a resource, or take it off."""
    tags: list[Value] = [{"Key": "made-by", "Value": "firstboot-station"}]
    keys: list[Value] = ["made-by"]
    where = f"{REGION}:{ACCOUNT}"
    verb = "Tag" if is_ours else "Untag"
    change: Parameters = {"Tags": tags} if is_ours else {"TagKeys": keys}
    if kind == "table":
        arn = f"arn:aws:dynamodb:{where}:table/{TABLE}"
        aws.call("dynamodb", f"{verb}Resource", ResourceArn=arn, **change)
    elif kind == "function":
        arn = f"arn:aws:lambda:{where}:function:{jitr.FUNCTION}"
        change = {"Tags": {"made-by": "firstboot-station"}} if is_ours else change
        aws.call("lambda", f"{verb}Resource", Resource=arn, **change)
    elif kind == "role":
        aws.call("iam", f"{verb}Role", RoleName=jitr.FUNCTION, **change)
    else:
        arn = f"arn:aws:iot:{where}:rule/{jitr.RULE}"
        change = {"tags": tags} if is_ours else {"tagKeys": keys}
        aws.call("iot", f"{verb}Resource", resourceArn=arn, **change)


@pytest.mark.parametrize("name", ["jitp", "jitr"])
def test_station_with_a_claim_of_another_region_is_refused(
    aws: Aws, folder: Path, local_cloud: LocalCloud, name: str
) -> None:
    elsewhere = CutCloud(aws_of(local_cloud, "eu-north-1", ACCOUNT))
    with raises(OTHER_ACCOUNT) as raised:
        prepare(CASES[name], elsewhere, folder)
    with raises(OTHER_ACCOUNT):
        teardown(CASES[name], elsewhere, folder)
    assert raised.value.exit_code is ExitCode.CONFIGURATION_INVALID
    assert elsewhere.changes == []
