"""Single thing provisioning on the local AWS: from an empty account to a proven device."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from device.errors import ExitCode
from factory.account.cloud import Value, text
from factory.errors import NOT_REGISTERED
from factory.making.new_device import DeviceOrder, new_device_id
from factory.methods import single_thing
from factory.methods.single_thing import RegisteredBy
from tests.support.errors import raises
from tests.support.production_line import CONFIG, ProductionLine, as_object, production_line
from tests.support.station_cloud import MeddledCloud, contents
from tests.wire.conftest import LocalCloud

pytestmark = pytest.mark.wire

CHANGES = 1
"""Of a first ``prepare``: the thing policy."""


@pytest.fixture
def line(local_cloud: LocalCloud, tmp_path: Path) -> Iterator[ProductionLine]:
    with production_line(local_cloud, "311987654321", tmp_path, "single-thing") as line:
        yield line


@pytest.mark.parametrize("words", [(), ("--by", "hand"), ("--no-exclusive",)])
def test_device_is_registered_made_and_proven(
    line: ProductionLine, tmp_path: Path, words: tuple[str, ...]
) -> None:
    before = contents(line.aws)
    assert line.prepare().code == 0
    made = line.run("single", "--serial", "SN-1", "--out", tmp_path / "device", "--json", *words)
    assert made.code == 0, made.err
    certificate_id = as_object(made.out)["certificate_id"]

    booted = line.boot(tmp_path / "device")

    assert booted.code == 0, booted.err
    assert line.things() == ["SN-1"]
    assert line.active("SN-1") == [certificate_id]
    kind = line.client("iot").list_thing_principals_v2(thingName="SN-1")["thingPrincipalObjects"]
    wanted = "NON_EXCLUSIVE_THING" if "--no-exclusive" in words else "EXCLUSIVE_THING"
    assert [each["thingPrincipalType"] for each in kind] == [wanted]
    line.teardown()
    assert contents(line.aws) == before


def test_make_does_the_same(line: ProductionLine, tmp_path: Path) -> None:
    line.prepare()
    made = line.run(
        "make", "--method", "single-thing", "--serial", "SN-2", "--out", tmp_path / "device"
    )
    assert made.code == 0, made.err
    assert line.boot(tmp_path / "device").code == 0
    assert len(line.active("SN-2")) == 1


def test_unprepared_account_is_named_with_a_next_step(line: ProductionLine, tmp_path: Path) -> None:
    refused = line.run("single", "--serial", "SN-3", "--out", tmp_path / "device")
    assert refused.code == ExitCode.FAILED
    assert "SN-3 was not registered" in refused.err
    assert "next: The template names a policy" in refused.err
    assert "factory prepare --method single-thing" in refused.err
    line.prepare()
    assert line.run("single", "--serial", "SN-3", "--out", tmp_path / "device").code == 0


def test_existing_thing_of_another_device_is_named(line: ProductionLine, tmp_path: Path) -> None:
    line.prepare()
    line.run("single", "--serial", "SN-4", "--out", tmp_path / "one")
    (theirs,) = line.active("SN-4")

    elsewhere = replace(line, folder=tmp_path / "another station")  # with a ledger of its own
    refused = elsewhere.run("single", "--serial", "SN-4", "--out", tmp_path / "other")

    assert refused.code == ExitCode.FAILED
    assert f"thing SN-4 exists, with certificates of another device: {theirs[:12]}" in refused.err
    assert line.active("SN-4") == [theirs]


def test_caller_without_rights_is_named(line: ProductionLine, tmp_path: Path) -> None:
    iam = line.client("iam")
    iam.create_user(UserName="trainee")
    key = iam.create_access_key(UserName="trainee")["AccessKey"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
        patch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
        refused = line.run("single", "--serial", "SN-5", "--out", tmp_path / "device")
    assert refused.code == ExitCode.DENIED
    assert "not allowed to call iot:" in refused.err
    iam.delete_access_key(UserName="trainee", AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName="trainee")


def with_a_bent_csr(parameters: Value) -> Value:
    assert isinstance(parameters, dict)
    return {**parameters, "CSR": str(parameters["CSR"]).replace("A", "B")}


def test_csr_that_is_not_signed_by_its_key_is_named(line: ProductionLine, tmp_path: Path) -> None:
    line.prepare()
    cloud = MeddledCloud(line.aws, "RegisterThing", "parameters", with_a_bent_csr)
    endpoint, root_ca = line.cloud.environment["DEVICE_ENDPOINT"], line.cloud.root_ca.read_bytes()
    settings = CONFIG / "single-thing.yaml"
    order = DeviceOrder("SN-7", new_device_id(), endpoint, root_ca, settings)

    with raises(NOT_REGISTERED, match="CSR violates constraints") as raised:
        single_thing.make_registered(cloud, order, tmp_path / "d", RegisteredBy.REGISTER_THING)

    assert "AWS cannot use the CSR: damaged, not signed by its own key" in raised.value.next_step
    assert line.things() == []
    assert line.run("single", "--serial", "SN-7", "--out", tmp_path / "d").code == 0
    assert line.boot(tmp_path / "d").code == 0


def test_teardown_leaves_the_devices_unless_they_are_named(
    line: ProductionLine, tmp_path: Path
) -> None:
    line.prepare()
    line.run("single", "--serial", "SN-6", "--out", tmp_path / "device")
    other = line.client("iot").create_thing(thingName="someone-elses")

    kept = line.run("teardown", "--method", "single-thing")

    assert "1 device(s) work under it" in kept.err
    assert len(line.active("SN-6")) == 1
    line.teardown()
    assert line.things() == ["someone-elses"]
    line.client("iot").delete_thing(thingName=text(other, "thingName"))
