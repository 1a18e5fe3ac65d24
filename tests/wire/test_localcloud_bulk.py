"""Bulk registration: a file of parameters in S3 becomes registered things and two reports."""

import json
import os
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.process.state_folder import StateFolder
from tests.support.hang import SECONDS
from tests.wire.conftest import LocalCloud, free_ports, running
from tests.wire.localcloud_registry import (
    DEVICE_POLICY,
    THINGS_REGISTRATION,
    make_role,
    mark,
    status_of,
    template,
    until,
)
from tests.wire.localcloud_sdk import Credential, mqtt5_client, new_csr, publish

pytestmark = pytest.mark.wire
BODY = template(
    {"ThingName": {"Ref": "ThingName"}, "AttributePayload": {"place": {"Ref": "Place"}}},
    {"PolicyDocument": DEVICE_POLICY},
    certificate={"CertificateSigningRequest": {"Ref": "CSR"}, "Status": "ACTIVE"},
    parameters=("ThingName", "CSR"),
    Parameters={"Place": {"Type": "String", "Default": "WA"}},
)


@dataclass(frozen=True)
class Factory:
    """A bucket, a role that may read it, and what starts tasks."""

    iot: Any
    s3: Any
    bucket: str
    role: str

    def start(self, lines: Sequence[str], role: str | None = None, body: str = BODY) -> str:
        key = mark("batch")
        self.s3.put_object(Bucket=self.bucket, Key=key, Body="\n".join(lines).encode())
        task: str = self.iot.start_thing_registration_task(
            templateBody=body,
            inputFileBucket=self.bucket,
            inputFileKey=key,
            roleArn=role or self.role,
        )["taskId"]
        return task

    def described(self, task: str) -> dict[str, Any]:
        found: dict[str, Any] = self.iot.describe_thing_registration_task(taskId=task)
        return found

    def ended(self, task: str, status: str = "Completed") -> dict[str, Any]:
        until(lambda: self.described(task)["status"], status)
        return self.described(task)

    def report(self, task: str, kind: str) -> list[dict[str, Any]]:
        links = self.iot.list_thing_registration_task_reports(taskId=task, reportType=kind)
        found = []
        for link in links["resourceLinks"]:
            with urllib.request.urlopen(link, timeout=SECONDS) as answer:  # noqa: S310  (what the cloud gave)
                found += [json.loads(line) for line in answer.read().splitlines()]
        return found


def make_factory(cloud: LocalCloud, region: str = "us-east-1") -> Factory:
    bucket = mark("bucket")
    s3 = cloud.client("s3", region=region)
    place = {} if region == "us-east-1" else {"LocationConstraint": region}
    s3.create_bucket(Bucket=bucket, **({"CreateBucketConfiguration": place} if place else {}))
    readable = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    role = make_role(cloud, THINGS_REGISTRATION, inline=[readable])
    return Factory(cloud.client("iot", region=region), s3, bucket, role)


@pytest.fixture(scope="module")
def factory(local_cloud: LocalCloud) -> Factory:
    return make_factory(local_cloud)


@pytest.fixture(autouse=True)
def fast(local_cloud: LocalCloud) -> Iterator[None]:
    """AWS registers some ten a second; tests need not."""
    before = local_cloud.admin("GET", "settings")
    pace(local_cloud, 0.0)
    yield
    local_cloud.admin("PUT", "settings", before)


def pace(cloud: LocalCloud, seconds: float) -> None:
    cloud.admin("PUT", "settings", {"registration_line_seconds": seconds})


def device(name: str, **more: str) -> tuple[str, str]:
    """Return a device's line and its key."""
    csr, key = new_csr(name)
    return json.dumps({"ThingName": name, "CSR": csr, **more}), key


# --- how it goes ---------------------------------------------------------------------


def test_every_line_becomes_a_device_that_can_connect(
    local_cloud: LocalCloud, factory: Factory
) -> None:
    names = [mark("SN") for _ in range(3)]
    devices = [device(name) for name in names]
    task = factory.start([line for line, _key in devices])
    ended = factory.ended(task)
    assert (ended["successCount"], ended["failureCount"], ended["percentageProgress"]) == (
        3,
        0,
        100,
    )
    results = factory.report(task, "RESULTS")
    assert [found["lineNumber"] for found in results] == [1, 2, 3], "in the order of the input"
    for name, (_line, key), found in zip(names, devices, results, strict=True):
        arns = found["response"]["ResourceArns"]
        assert arns["thing"].split("/")[1] == name
        pem = found["response"]["CertificatePem"]
        own = Credential(arns["certificate"].split("/")[1], pem, key)
        with mqtt5_client(local_cloud, own, name) as client:
            assert publish(client, f"dt/{name}/telemetry") == 0
    assert factory.report(task, "ERRORS") == []
    assert factory.iot.describe_thing(thingName=names[0])["attributes"] == {"place": "WA"}


def test_the_task_is_described_and_listed(factory: Factory) -> None:
    task = factory.start([device(mark("SN"))[0]])
    ended = factory.ended(task)
    assert ended["templateBody"] == BODY
    assert ended["inputFileBucket"] == factory.bucket
    assert ended["roleArn"] == factory.role
    assert "results" not in ended
    listed = factory.iot.list_thing_registration_tasks(status="Completed")["taskIds"]
    assert task in listed
    assert task not in factory.iot.list_thing_registration_tasks(status="Failed")["taskIds"]
    pages = factory.iot.get_paginator("list_thing_registration_tasks").paginate(
        PaginationConfig={"PageSize": 1}
    )
    found = [task_id for page in pages for task_id in page["taskIds"]]
    assert found == factory.iot.list_thing_registration_tasks()["taskIds"]


def test_lines_that_fail_are_reported_by_number(factory: Factory) -> None:
    good, other = device(mark("SN"))[0], device(mark("SN"))[0]
    bad = [
        "{not json",
        '["a list"]',
        json.dumps({"ThingName": mark("SN")}),
        json.dumps({"ThingName": mark("SN"), "CSR": "garbage"}),
        json.dumps({"ThingName": "a space", "CSR": new_csr("SN")[0]}),
        json.dumps({"ThingName": 7, "CSR": new_csr("SN")[0]}),
        json.dumps({"ThingName": "x" * (256 * 1024)}),
    ]
    task = factory.start([good, *bad, "", other])
    ended = factory.ended(task)
    assert (ended["successCount"], ended["failureCount"]) == (2, len(bad))
    errors = factory.report(task, "ERRORS")
    assert [found["lineNumber"] for found in errors] == [2, 3, 4, 5, 6, 7, 8]
    assert errors[0]["offset"] == len(good) + 1
    wanted = [
        "not JSON",
        "not a JSON object",
        "CSR",
        "CSR violates",
        "thingName",
        "string",
        "256 KB",
    ]
    for found, part in zip(errors, wanted, strict=True):
        assert part in found["errorMessage"]
    assert {found["statusCode"] for found in errors} == {400}
    assert [found["lineNumber"] for found in factory.report(task, "RESULTS")] == [1, 10]


# --- watched, stopped, killed --------------------------------------------------------


def test_one_task_at_a_time_that_can_be_watched_and_stopped(
    local_cloud: LocalCloud, factory: Factory
) -> None:
    lines = [device(mark("SN"))[0] for _ in range(40)]  # some are left when the first is seen
    pace(local_cloud, 0.05)
    task = factory.start(lines)
    with pytest.raises(factory.iot.exceptions.InvalidRequestException, match="only one"):
        factory.start(lines)
    until(lambda: factory.described(task)["successCount"] >= 1)
    pace(local_cloud, 3600)
    running_now = factory.described(task)
    assert running_now["status"] == "InProgress"
    assert 0 < running_now["percentageProgress"] < 100
    assert factory.report(task, "RESULTS") == []
    factory.iot.stop_thing_registration_task(taskId=task)
    stopped = factory.ended(task, "Cancelled")
    assert stopped["successCount"] == running_now["successCount"]
    assert len(factory.report(task, "RESULTS")) == stopped["successCount"], "it stays registered"


def test_a_task_goes_on_after_a_kill_and_registers_nothing_twice(tmp_path: Path) -> None:
    folder, ports = StateFolder(tmp_path / "c"), free_ports()
    names = [mark("SN") for _ in range(8)]
    with running(folder, ports) as cloud:
        factory = make_factory(cloud)
        pace(cloud, 0.4)
        task = factory.start([device(name)[0] for name in names])
        # Some 1.6 s: what is a second old is on disk.
        until(lambda: factory.described(task)["successCount"], 4)
        os.kill(cloud.pid, signal.SIGKILL)
    with running(folder, ports) as cloud:
        pace(cloud, 0.0)
        factory = Factory(cloud.client("iot"), cloud.client("s3"), factory.bucket, factory.role)
        ended = factory.ended(task)
        assert ended["successCount"] == len(names)
        assert len(factory.iot.list_certificates()["certificates"]) == len(names)
        assert len(factory.report(task, "RESULTS")) == len(names)


# --- what ends it --------------------------------------------------------------------


def test_a_role_that_may_not_read_the_file(local_cloud: LocalCloud, factory: Factory) -> None:
    blind = make_role(local_cloud, THINGS_REGISTRATION)
    ended = factory.ended(factory.start([device(mark("SN"))[0]], role=blind), "Failed")
    assert "may not read" in ended["message"]
    assert ended["successCount"] == 0


def test_a_role_that_may_not_register(local_cloud: LocalCloud, factory: Factory) -> None:
    reader = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    powerless = make_role(local_cloud, inline=[reader])
    task = factory.start([device(mark("SN"))[0]], role=powerless)
    assert factory.ended(task)["failureCount"] == 1
    assert factory.report(task, "ERRORS")[0]["errorCode"] == "UnauthorizedException"


def test_a_file_that_is_not_there(factory: Factory) -> None:
    task = factory.iot.start_thing_registration_task(
        templateBody=BODY,
        inputFileBucket=factory.bucket,
        inputFileKey="no-such-key",
        roleArn=factory.role,
    )["taskId"]
    assert "There is no s3://" in factory.ended(task, "Failed")["message"]


def test_a_template_that_is_none_is_refused_at_once(factory: Factory) -> None:
    with pytest.raises(factory.iot.exceptions.InvalidRequestException, match="not well-formed"):
        factory.start([device(mark("SN"))[0]], body="{")


@pytest.mark.parametrize(
    "operation", ["describe_thing_registration_task", "stop_thing_registration_task"]
)
def test_a_task_that_does_not_exist(factory: Factory, operation: str) -> None:
    with pytest.raises(factory.iot.exceptions.ResourceNotFoundException):
        getattr(factory.iot, operation)(taskId="no-such-task")


def test_a_task_that_has_ended_is_not_stopped(factory: Factory) -> None:
    task = factory.start([device(mark("SN"))[0]])
    factory.ended(task)
    with pytest.raises(factory.iot.exceptions.InvalidRequestException, match="is Completed"):
        factory.iot.stop_thing_registration_task(taskId=task)


def test_the_reports_are_not_in_the_callers_account(factory: Factory) -> None:
    task = factory.start([device(mark("SN"))[0]])
    factory.ended(task)
    names = [bucket["Name"] for bucket in factory.s3.list_buckets()["Buckets"]]
    assert not [name for name in names if "registration" in name]
    link = factory.iot.list_thing_registration_task_reports(taskId=task, reportType="RESULTS")
    unsigned = link["resourceLinks"][0].partition("?")[0]
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(unsigned, timeout=SECONDS)  # noqa: S310  (what the cloud gave)


@pytest.mark.parametrize("regions", [("us-east-1", "eu-west-1"), ("eu-west-1", "us-east-1")])
def test_each_region_gives_its_own_reports(
    local_cloud: LocalCloud, regions: tuple[str, str]
) -> None:
    for region in regions:
        factory = make_factory(local_cloud, region)
        task = factory.start([device(mark("SN"))[0]])
        factory.ended(task)
        assert len(factory.report(task, "RESULTS")) == 1


def test_one_device_of_a_batch_is_active(factory: Factory) -> None:
    task = factory.start([device(mark("SN"))[0]])
    factory.ended(task)
    arn = factory.report(task, "RESULTS")[0]["response"]["ResourceArns"]["certificate"]
    assert status_of(factory.iot, arn.split("/")[1]) == "ACTIVE"


def test_a_report_of_no_kind(factory: Factory) -> None:
    task = factory.start([device(mark("SN"))[0]])
    factory.ended(task)
    with pytest.raises(ClientError, match="reportType"):
        factory.iot.list_thing_registration_task_reports(taskId=task, reportType="SUMMARY")
