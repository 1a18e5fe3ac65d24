"""A batch meets what goes wrong on AWS: bad lines, roles, groups, kills, other tasks."""

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from device.errors import ExitCode
from factory.account.cloud import Cloud, Value
from factory.bulk.batch import run_batch
from factory.bulk.journal import Batch, new_batch, open_journal
from factory.bulk.progress import PlainProgress
from factory.making.new_device import DeviceOrder, new_device_id
from factory.methods import bulk
from tests.support.hang import SECONDS, line_from
from tests.support.production_line import CONFIG, ProductionLine, production_line
from tests.support.station_cloud import MeddledCloud
from tests.wire.conftest import LocalCloud, python

pytestmark = pytest.mark.wire


@pytest.fixture
def line(local_cloud: LocalCloud, tmp_path: Path) -> Iterator[ProductionLine]:
    with production_line(local_cloud, "314987654321", tmp_path, "bulk") as line:
        assert line.prepare().code == 0
        yield line


def lot(line: ProductionLine, *words: str) -> tuple[int, str]:
    """Run the batch ``lot``, and return exit code and what was said."""
    done = line.run("bulk", "--batch", "lot", "--out", line.folder, *words)
    return done.code, done.err


def run_in(line: ProductionLine, cloud: Cloud, *serials: str) -> Batch:
    """Run the batch as ``factory bulk`` does, in another ``cloud``."""

    def order(serial: str) -> DeviceOrder:
        endpoint = line.cloud.environment["DEVICE_ENDPOINT"]
        root_ca = line.cloud.root_ca.read_bytes()
        return DeviceOrder(serial, new_device_id(), endpoint, root_ca, CONFIG / "bulk.yaml")

    with open_journal(bulk.batch_folder(line.station, "lot")) as journal:
        folders = {serial: line.folder / serial for serial in serials}
        batch = journal.load() or new_batch("lot", cloud.account, folders)
        run_batch(bulk.batch_context(cloud, journal, order, PlainProgress(lambda _: None)), batch)
        return batch


def with_second_line(change: Callable[[bytes], bytes]) -> Callable[[Value], Value]:
    def changed(content: Value) -> Value:
        assert isinstance(content, bytes)
        first, second, *rest = content.splitlines(keepends=True)
        return b"".join([first, change(second), *rest])

    return changed


def without_csr(line: bytes) -> bytes:
    return json.dumps({"SerialNumber": json.loads(line)["SerialNumber"]}).encode() + b"\n"


def with_a_bent_csr(line: bytes) -> bytes:
    parameters = json.loads(line)
    parameters["CSR"] = parameters["CSR"].replace("A", "B")
    return json.dumps(parameters).encode() + b"\n"


@pytest.mark.parametrize(
    ("change", "reason", "next_step"),
    [
        (lambda line: b"{" + line, "not JSON", "--retry"),
        (without_csr, "Cannot resolve reference value: CSR", "factory lint --method bulk"),
        (with_a_bent_csr, "CSR violates constraints", "damaged"),
    ],
    ids=["malformed", "parameter-missing", "bad-signature"],
)
def test_bad_line_is_named_and_the_others_are_registered(
    line: ProductionLine, change: Callable[[bytes], bytes], reason: str, next_step: str
) -> None:
    cloud = MeddledCloud(line.aws, "PutObject", "Body", with_second_line(change))

    batch = run_in(line, cloud, "SN-1", "SN-2", "SN-3")

    (failed,) = batch.failed_lines
    assert failed.serial_number == "SN-2"
    assert reason in str(failed.problem)
    assert next_step in failed.next_step
    assert [len(line.active(name)) for name in ("SN-1", "SN-3")] == [1, 1]

    code, said = lot(line)
    assert code == ExitCode.FAILED
    assert f"SN-2: {failed.problem}" in said
    assert "factory bulk --batch lot --retry" in said
    assert lot(line, "--retry")[0] == 0
    assert len(line.active("SN-2")) == 1


def test_role_that_may_not_read_the_bucket_is_named(line: ProductionLine) -> None:
    line.aws.call("iam", "DeleteRolePolicy", RoleName=bulk.ROLE, PolicyName="eu-central-1.bulk")
    code, said = lot(line, "--count", "2")
    assert code == ExitCode.FAILED
    assert said.count("the task ended as Failed: The role") == 2
    assert "next: Allow the role to read the bucket (s3:GetObject" in said

    assert line.prepare().code == 0
    assert lot(line, "--retry")[0] == 0
    assert line.things() == ["lot-0001", "lot-0002"]


def test_role_that_may_not_do_what_the_template_asks_is_named(line: ProductionLine) -> None:
    arn = "arn:aws:iam::aws:policy/service-role/AWSIoTThingsRegistration"
    line.aws.call("iam", "DetachRolePolicy", RoleName=bulk.ROLE, PolicyArn=arn)
    code, said = lot(line, "--count", "1")
    assert code == ExitCode.FAILED
    assert "Access Denied" in said
    assert "next: The role or the caller lacks a permission that the template needs" in said
    assert line.things() == []


@pytest.mark.parametrize("what", ["thing group", "billing group"])
def test_missing_group_is_named(line: ProductionLine, what: str) -> None:
    iot = line.client("iot")
    if what == "thing group":
        iot.delete_thing_group(thingGroupName="firstboot-devices")
    else:
        iot.delete_billing_group(billingGroupName="firstboot")
    code, said = lot(line, "--count", "1")
    assert code == ExitCode.FAILED
    assert "not found" in said
    assert "factory prepare --method bulk" in said
    linted = line.run("lint", "--method", "bulk", "--cloud")
    assert linted.code == 1
    assert f"named-missing: {CONFIG}/templates/firstboot-bulk.json" in linted.out
    assert what in linted.out


def test_unprepared_account_is_named(line: ProductionLine) -> None:
    line.teardown()
    code, said = lot(line, "--count", "1")
    assert code == ExitCode.CONFIGURATION_INVALID
    assert "there is no bucket firstboot-bulk-" in said
    assert "factory prepare --method bulk" in said


def test_killed_command_is_completed_by_the_next(line: ProductionLine) -> None:
    words = ["bulk", "--batch", "lot", "--count", "6", "--out", str(line.folder)]
    process = subprocess.Popen(
        python("-m", "factory", *words, "--station", str(line.station)),
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while not line_from(process, process.stderr).startswith("CSRs collected: 4"):
        pass
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=SECONDS)

    assert lot(line)[0] == 0

    assert line.things() == [f"lot-000{number}" for number in range(1, 7)]
    assert all(len(line.active(name)) == 1 for name in line.things())


def test_batch_that_is_not_there_is_misuse(line: ProductionLine) -> None:
    code, said = lot(line)
    assert code == ExitCode.MISUSE
    assert "batch lot does not exist" in said
    assert not bulk.batch_folder(line.station, "lot").exists()


def test_batch_of_other_devices_is_misuse(line: ProductionLine) -> None:
    lot(line, "--count", "1")
    code, said = lot(line, "--count", "2")
    assert code == ExitCode.MISUSE
    assert "batch lot has other devices" in said


def test_listed_devices_are_registered(line: ProductionLine, tmp_path: Path) -> None:
    serials = tmp_path / "serials.txt"
    serials.write_text("A-1\nA-2  # the blue one\n")
    assert lot(line, "--serials", str(serials))[0] == 0
    assert line.things() == ["A-1", "A-2"]
    serials.write_text("A-1\nA/2\n")
    code, said = lot(line, "--serials", str(serials))
    assert code == ExitCode.MISUSE
    assert "line 2: 'A/2' cannot be a serial number" in said


def test_columns_are_parameters_of_a_template_of_ones_own(
    line: ProductionLine, tmp_path: Path
) -> None:
    template = json.loads((CONFIG / "templates" / "firstboot-bulk.json").read_text())
    template["Parameters"]["Color"] = {"Type": "String"}
    properties = template["Resources"]["thing"]["Properties"]
    properties["AttributePayload"]["Color"] = {"Ref": "Color"}
    own = tmp_path / "own.json"
    own.write_text(json.dumps(template))
    listed = tmp_path / "serials.csv"
    listed.write_text("serial,Color\nCSV-1,red\nCSV-2,blue\n")
    words = ("--serials", str(listed))

    code, err = lot(line, *words)
    assert code == ExitCode.MISUSE
    assert "column Color: the template firstboot-bulk has no such parameter" in err
    code, err = lot(line, *words, "--template", str(own), "--dry-run")
    assert code == 0, err
    assert "2 of 2 device(s) would be made for bulk" in err
    assert line.things() == []

    code, err = lot(line, *words, "--template", str(own))
    assert code == 0, err
    things = [line.client("iot").describe_thing(thingName=each) for each in line.things()]
    assert [each["attributes"]["Color"] for each in things] == ["red", "blue"]


def test_device_without_a_value_that_the_template_needs_is_refused(
    line: ProductionLine, tmp_path: Path
) -> None:
    template = json.loads((CONFIG / "templates" / "firstboot-bulk.json").read_text())
    template["Parameters"]["Color"] = {"Type": "String"}
    own, listed = tmp_path / "own.json", tmp_path / "serials.csv"
    own.write_text(json.dumps(template))
    listed.write_text("serial,Color\nCSV-1,red\nCSV-2,\n")
    code, err = lot(line, "--serials", str(listed), "--template", str(own))
    assert code == ExitCode.MISUSE
    assert "CSV-2 has no Color" in err
