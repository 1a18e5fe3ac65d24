"""Bulk registration on the local AWS: a batch from nothing to devices that are let in at once."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from device.errors import ExitCode
from factory.account.cloud import items, text
from factory.methods import bulk
from tests.support.production_line import ProductionLine, production_line
from tests.support.station_cloud import contents
from tests.wire.conftest import LocalCloud

pytestmark = pytest.mark.wire

CHANGES = 7
"""Of a first ``prepare``: bucket, role and its two policies, thing policy, two groups."""
REMOVALS = 7


@pytest.fixture
def line(local_cloud: LocalCloud, tmp_path: Path) -> Iterator[ProductionLine]:
    with production_line(local_cloud, "313987654321", tmp_path, "bulk") as line:
        yield line


@pytest.fixture
def prepared(line: ProductionLine) -> ProductionLine:
    assert line.prepare().code == 0
    return line


def test_batch_is_registered_made_and_proven(line: ProductionLine, tmp_path: Path) -> None:
    before = contents(line.aws)
    assert line.prepare().code == 0
    made = line.run("bulk", "--count", "3", "--batch", "lot", "--out", tmp_path, "--json")
    assert made.code == 0, made.err
    *devices, total = [json.loads(each) for each in made.out.splitlines()]
    assert total == {"batch": "lot", "secured": 3, "failed": 0}

    booted = [line.boot(Path(each["state"])) for each in devices]

    assert [each.code for each in booted] == [0, 0, 0]
    assert line.things() == ["lot-0001", "lot-0002", "lot-0003"]
    for each in devices:
        assert line.active(each["serial"]) == [each["certificate_id"]]
    iot = line.client("iot")
    group = iot.list_things_in_thing_group(thingGroupName="firstboot-devices")
    assert sorted(group["things"]) == line.things()
    assert sorted(iot.list_things_in_billing_group(billingGroupName="firstboot")["things"]) == (
        line.things()
    )
    line.teardown()
    assert contents(line.aws) == before


def test_make_is_a_batch_of_one(prepared: ProductionLine, tmp_path: Path) -> None:
    words = ("make", "--method", "bulk", "--serial", "SN:1", "--out", tmp_path / "device")
    made = prepared.run(*words)
    assert made.code == 0, made.err
    assert prepared.boot(tmp_path / "device").code == 0
    assert len(prepared.active("SN:1")) == 1

    again = prepared.run(*words)
    assert again.code == ExitCode.FAILED
    assert "is taken: device" in again.err
    assert len(prepared.active("SN:1")) == 1


def test_teardown_keeps_what_devices_still_need(prepared: ProductionLine, tmp_path: Path) -> None:
    prepared.run("bulk", "--count", "1", "--batch", "lot", "--out", tmp_path)

    kept = prepared.run("teardown", "--method", "bulk")

    assert "1 device(s) in it" in kept.err
    found = contents(prepared.aws)
    assert {"firstboot-devices"} == found["groups"].keys()
    assert found["buckets"] == {}
    assert len(prepared.active("lot-0001")) == 1


@pytest.mark.parametrize("kind", ["bucket", "thing group"])
def test_what_somebody_else_made_is_left_alone(line: ProductionLine, kind: str) -> None:
    bucket = f"firstboot-bulk-{line.account}-eu-central-1"
    s3, iot = line.client("s3"), line.client("iot")
    if kind == "bucket":
        where = {"LocationConstraint": "eu-central-1"}
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=where)
        refused = line.prepare()
        assert refused.code == ExitCode.FAILED
        assert f"the bucket {bucket} exists, but the station did not create it" in refused.err
        s3.delete_bucket(Bucket=bucket)
    else:
        iot.create_thing_group(thingGroupName="firstboot-devices")
        assert line.prepare().code == 0
        assert "the station did not create it" in line.teardown().err
        iot.delete_thing_group(thingGroupName="firstboot-devices")


def test_shared_group_is_kept_for_the_other_method(prepared: ProductionLine) -> None:
    assert prepared.run("prepare", "--method", "jitp").code == 0
    kept = prepared.teardown()
    assert "still needed: jitp" in kept.err
    prepared.run("teardown", "--method", "jitp")
    assert contents(prepared.aws)["groups"] == {}


def test_file_of_a_batch_is_in_the_bucket_that_only_the_role_reads(
    prepared: ProductionLine, tmp_path: Path
) -> None:
    prepared.run("bulk", "--count", "1", "--batch", "lot", "--out", tmp_path)
    bucket = f"firstboot-bulk-{prepared.account}-eu-central-1"
    listed = prepared.aws.call("s3", "ListObjectsV2", Bucket=bucket)
    (key,) = [text(each, "Key") for each in items(listed, "Contents")]
    assert key.startswith("lot/1-")
    found = prepared.aws.call(
        "iam", "GetRolePolicy", RoleName=bulk.ROLE, PolicyName="eu-central-1.bulk"
    )
    assert json.loads(json.dumps(found["PolicyDocument"]))["Statement"] == [
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    ]
