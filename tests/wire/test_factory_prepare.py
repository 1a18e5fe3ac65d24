"""The station prepares an account, and leaves it as it was found."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from device.errors import ExitCode
from device.storage.device_storage import create_device_storage
from device.storage.lifecycle import Lifecycle
from factory.account.aws import Aws
from factory.account.certificates import delete_certificate, set_certificate_status
from factory.account.changes import Outcome, Report
from factory.account.cloud import Cloud, items, structure, text
from factory.errors import (
    CLOUD_CONFIGURATION,
    CLOUD_DENIED,
    NOT_MADE_BY_STATION,
    OTHER_ACCOUNT,
)
from factory.methods import METHODS
from factory.station.station import open_or_make_station, open_station
from tests.support.errors import raises
from tests.support.station_cloud import CutCloud, PowerCutError, aws_of, contents
from tests.wire.conftest import LocalCloud

pytestmark = pytest.mark.wire

CLAIM = METHODS["claim"]


@pytest.fixture
def aws(local_cloud: LocalCloud) -> Iterator[Aws]:
    """An account in which the station has left nothing."""
    cloud = aws_of(local_cloud)
    yield cloud
    CLAIM.teardown(cloud, None, devices=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "station"


def prepare(cloud: Cloud, folder: Path) -> Report:
    with open_or_make_station(folder) as station:
        return CLAIM.prepare(cloud, station)


def teardown(cloud: Cloud, folder: Path, *, devices: bool = False) -> Report:
    with open_station(folder) as station:
        return CLAIM.teardown(cloud, station, devices=devices)


def outcomes(report: Report) -> list[Outcome]:
    return [change.outcome for change in report.changes]


def outcome_of(report: Report, kind: str) -> Outcome:
    (outcome,) = [change.outcome for change in report.changes if change.kind == kind]
    return outcome


def claim_id(report: Report) -> str:
    return report.changes[-1].name


def test_first_run_makes_all_and_says_so(aws: Aws, folder: Path) -> None:
    report = prepare(aws, folder)

    assert outcomes(report) == [Outcome.CREATED] * 5
    found = contents(aws)
    assert found["certificates"][claim_id(report)] == ("ACTIVE", ["firstboot-claim"])
    assert "firstboot-claim" in found["templates"]


_DENIED = {"Effect": "Deny", "Action": "iot:Connect", "Resource": "*"}


def test_teardown_leaves_the_account_as_it_was_found(aws: Aws, folder: Path) -> None:
    aws.call("iot", "CreateThing", thingName="someone-elses")
    theirs = json.dumps({"Version": "2012-10-17", "Statement": _DENIED})
    aws.call("iot", "CreatePolicy", policyName="someone-elses", policyDocument=theirs)
    before = contents(aws)
    prepare(aws, folder)

    report = teardown(aws, folder)

    assert set(outcomes(report)) == {Outcome.REMOVED}
    assert contents(aws) == before
    aws.call("iot", "DeleteThing", thingName="someone-elses")
    aws.call("iot", "DeletePolicy", policyName="someone-elses")


def test_teardown_after_an_interrupted_issue_removes_the_certificate(
    aws: Aws, folder: Path
) -> None:
    before = contents(aws)
    cut_at = 6
    with pytest.raises(PowerCutError):
        prepare(CutCloud(aws, cut_at, reply_lost=True), folder)
    assert len(contents(aws)["certificates"]) == len(before["certificates"]) + 1

    teardown(aws, folder)

    assert contents(aws) == before


def test_drifted_policies_get_a_new_default_version(aws: Aws, folder: Path) -> None:
    prepare(aws, folder)
    right = contents(aws)["policies"]["firstboot-device"]
    drift(aws, "firstboot-device")

    report = prepare(aws, folder)

    assert outcome_of(report, "thing policy") is Outcome.UPDATED
    assert outcome_of(report, "claim policy") is Outcome.UNCHANGED
    assert contents(aws)["policies"]["firstboot-device"] == right


def test_repairing_a_policy_never_keeps_more_than_five_versions(aws: Aws, folder: Path) -> None:
    prepare(aws, folder)
    for _ in range(4):
        drift(aws, "firstboot-claim")
        prepare(aws, folder)

    assert outcomes(prepare(aws, folder)) == [Outcome.UNCHANGED] * 5
    versions = aws.call("iot", "ListPolicyVersions", policyName="firstboot-claim")
    assert len(items(versions, "policyVersions")) <= 5


def drift(aws: Aws, policy: str) -> None:
    wrong = json.dumps({"Version": "2012-10-17", "Statement": [_DENIED]})
    versions = items(aws.call("iot", "ListPolicyVersions", policyName=policy), "policyVersions")
    if len(versions) == 5:
        spare = min(text(each, "versionId") for each in versions if not each["isDefaultVersion"])
        aws.call("iot", "DeletePolicyVersion", policyName=policy, policyVersionId=spare)
    aws.call(
        "iot", "CreatePolicyVersion", policyName=policy, policyDocument=wrong, setAsDefault=True
    )


def test_drifted_template_is_restored_over_and_over(aws: Aws, folder: Path) -> None:
    prepare(aws, folder)
    right = contents(aws)["templates"]["firstboot-claim"]
    wrong = json.loads(right[0])  # type: ignore[index] # a pair, see contents()
    for number in range(6):
        wrong["Resources"]["thing"]["Properties"]["ThingName"] = f"all-the-same-{number}"
        make_room(aws)
        aws.call(
            "iot",
            "CreateProvisioningTemplateVersion",
            templateName="firstboot-claim",
            templateBody=json.dumps(wrong),
            setAsDefault=True,
        )
        assert outcome_of(prepare(aws, folder), "provisioning template") is Outcome.UPDATED
        assert contents(aws)["templates"]["firstboot-claim"] == right


def make_room(aws: Aws) -> None:
    listed = aws.call("iot", "ListProvisioningTemplateVersions", templateName="firstboot-claim")
    for version in items(listed, "versions"):
        if not version["isDefaultVersion"] and len(items(listed, "versions")) == 5:
            aws.call(
                "iot",
                "DeleteProvisioningTemplateVersion",
                templateName="firstboot-claim",
                versionId=version["versionId"],
            )
            return


def test_disabled_template_is_enabled_again(aws: Aws, folder: Path) -> None:
    prepare(aws, folder)
    aws.call("iot", "UpdateProvisioningTemplate", templateName="firstboot-claim", enabled=False)

    report = prepare(aws, folder)

    assert outcome_of(report, "provisioning template") is Outcome.UPDATED
    template = aws.call("iot", "DescribeProvisioningTemplate", templateName="firstboot-claim")
    assert template["enabled"] is True


def test_drifted_role_is_restored(aws: Aws, folder: Path) -> None:
    prepare(aws, folder)
    right = contents(aws)["roles"]["firstboot-provisioning"]
    arn = f"arn:aws:iam::aws:policy/{'service-role/AWSIoTThingsRegistration'}"
    aws.call("iam", "DetachRolePolicy", RoleName="firstboot-provisioning", PolicyArn=arn)
    trust = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "ec2.amazonaws.com"},
                    "Action": "sts:AssumeRole",
                }
            ],
        }
    )
    aws.call(
        "iam", "UpdateAssumeRolePolicy", RoleName="firstboot-provisioning", PolicyDocument=trust
    )

    report = prepare(aws, folder)

    assert outcome_of(report, "provisioning role") is Outcome.UPDATED
    assert contents(aws)["roles"]["firstboot-provisioning"] == right


def test_detached_claim_is_attached_again(aws: Aws, folder: Path) -> None:
    certificate_id = claim_id(prepare(aws, folder))
    account = aws.account
    arn = f"arn:aws:iot:{account.region}:{account.account_id}:cert/{certificate_id}"
    aws.call("iot", "DetachPolicy", policyName="firstboot-claim", target=arn)

    report = prepare(aws, folder)

    assert outcome_of(report, "claim certificate") is Outcome.UPDATED
    assert contents(aws)["certificates"][certificate_id] == ("ACTIVE", ["firstboot-claim"])


@pytest.mark.parametrize("status", ["INACTIVE", "REVOKED"])
def test_claim_that_was_turned_off_stays_off_and_is_replaced(
    aws: Aws, folder: Path, status: str
) -> None:
    old = claim_id(prepare(aws, folder))
    set_certificate_status(aws, old, status)

    report = prepare(aws, folder)

    assert outcome_of(report, "claim certificate") is Outcome.CREATED
    assert "was turned off" in report.changes[-1].note
    found = contents(aws)["certificates"]
    assert found[old] == (status, ["firstboot-claim"])
    assert found[claim_id(report)] == ("ACTIVE", ["firstboot-claim"])


def test_claim_that_is_gone_from_the_account_is_replaced(aws: Aws, folder: Path) -> None:
    old = claim_id(prepare(aws, folder))
    delete_certificate(aws, old)

    report = prepare(aws, folder)

    assert claim_id(report) != old
    assert "no longer in the account" in report.changes[-1].note


def test_revoked_claim_is_deleted_without_a_word_on_its_status(aws: Aws, folder: Path) -> None:
    before = contents(aws)
    set_certificate_status(aws, claim_id(prepare(aws, folder)), "REVOKED")
    watched = CutCloud(aws)

    teardown(watched, folder)

    assert "UpdateCertificate" not in watched.changes
    assert contents(aws) == before


def test_lost_station_leaves_a_warning_about_the_old_claim(
    aws: Aws, folder: Path, tmp_path: Path
) -> None:
    old = claim_id(prepare(aws, folder))

    report = prepare(aws, tmp_path / "new station")

    assert claim_id(report) != old
    (note,) = report.notes
    assert "still ACTIVE" in note
    assert f"--certificate-id {old}" in note
    set_certificate_status(aws, old, "INACTIVE")
    assert prepare(aws, tmp_path / "new station").notes == ()


@pytest.mark.parametrize("kind", ["role", "policy", "template"])
def test_resources_of_others_are_neither_changed_nor_removed(
    aws: Aws, folder: Path, kind: str
) -> None:
    prepare(aws, folder)
    tag = ["made-by"]
    account = f"{aws.account.region}:{aws.account.account_id}"
    if kind == "role":
        aws.call("iam", "UntagRole", RoleName="firstboot-provisioning", TagKeys=[*tag])
    else:
        resource = {"policy": "policy", "template": "provisioningtemplate"}[kind]
        arn = f"arn:aws:iot:{account}:{resource}/firstboot-claim"
        aws.call("iot", "UntagResource", resourceArn=arn, tagKeys=[*tag])
    before = contents(aws)

    with raises(NOT_MADE_BY_STATION):
        prepare(aws, folder)
    assert contents(aws) == before
    with raises(NOT_MADE_BY_STATION):
        CLAIM.teardown(aws, None, devices=True)

    mark: list[object] = [{"Key": "made-by", "Value": "firstboot-station"}]
    if kind == "role":
        aws.call("iam", "TagRole", RoleName="firstboot-provisioning", Tags=mark)  # type: ignore[arg-type] # JSON
    else:
        aws.call("iot", "TagResource", resourceArn=arn, tags=mark)  # type: ignore[arg-type] # JSON


def test_certificate_of_others_under_the_claim_policy_is_only_detached(
    aws: Aws, folder: Path
) -> None:
    prepare(aws, folder)
    other = aws.call("iot", "CreateKeysAndCertificate", setAsActive=True)
    arn = text(other, "certificateArn")
    aws.call("iot", "AttachPolicy", policyName="firstboot-claim", target=arn)

    report = teardown(aws, folder)

    kept = [change.name for change in report.changes if change.outcome is Outcome.KEPT]
    assert kept == [other["certificateId"]]
    assert contents(aws)["certificates"][kept[0]] == ("ACTIVE", [])
    delete_certificate(aws, kept[0])


def test_role_is_kept_for_another_region(
    aws: Aws, folder: Path, tmp_path: Path, local_cloud: LocalCloud
) -> None:
    elsewhere = aws_of(local_cloud, "eu-north-1")
    prepare(aws, folder)
    joined = prepare(elsewhere, tmp_path / "north")
    assert outcome_of(joined, "provisioning role") is Outcome.UPDATED

    report = teardown(aws, folder)

    assert outcome_of(report, "provisioning role") is Outcome.KEPT
    last = teardown(elsewhere, tmp_path / "north")
    assert outcome_of(last, "provisioning role") is Outcome.REMOVED


def test_station_of_another_region_is_refused_and_changes_nothing(
    aws: Aws, folder: Path, local_cloud: LocalCloud
) -> None:
    prepare(aws, folder)
    elsewhere = CutCloud(aws_of(local_cloud, "eu-north-1"))

    with raises(OTHER_ACCOUNT, match="eu-central-1"):
        prepare(elsewhere, folder)
    with raises(OTHER_ACCOUNT):
        teardown(elsewhere, folder)

    assert elsewhere.changes == []


@pytest.fixture
def trainee(aws: Aws) -> Iterator[tuple[str, str]]:
    """Access key and secret of a user who may do nothing."""
    aws.call("iam", "CreateUser", UserName="trainee")
    key = structure(aws.call("iam", "CreateAccessKey", UserName="trainee"), "AccessKey")
    access_key = text(key, "AccessKeyId")
    yield access_key, text(key, "SecretAccessKey")
    aws.call("iam", "DeleteAccessKey", UserName="trainee", AccessKeyId=access_key)
    aws.call("iam", "DeleteUser", UserName="trainee")


def test_missing_permission_is_named(
    trainee: tuple[str, str], local_cloud: LocalCloud, folder: Path
) -> None:
    access_key, secret = trainee
    with raises(CLOUD_DENIED) as raised:
        prepare(aws_of(local_cloud, account=access_key, secret=secret), folder)
    assert (
        raised.value.fields["action"] == "iot:DescribeProvisioningTemplate"
    )  # the first thing it asks
    assert raised.value.exit_code is ExitCode.DENIED


def test_wrong_secret_is_a_matter_of_configuration(
    trainee: tuple[str, str], local_cloud: LocalCloud, folder: Path
) -> None:
    access_key, _ = trainee
    with raises(CLOUD_CONFIGURATION, match="rejected the credentials"):
        prepare(aws_of(local_cloud, account=access_key, secret="guessed"), folder)


def test_unfinished_station_folder_is_made_anew(aws: Aws, folder: Path) -> None:
    with create_device_storage(folder) as storage:
        storage.advance(Lifecycle.PSA_ROT_PROVISIONING)

    assert outcomes(prepare(aws, folder)) == [Outcome.CREATED] * 5
