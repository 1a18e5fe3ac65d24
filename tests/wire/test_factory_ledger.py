"""One serial number, one device; and a device is made for the account that was prepared."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from device.errors import ExitCode
from factory.methods import METHODS
from factory.station.ledger import Ledger
from tests.support.production_line import ProductionLine, prepared_line
from tests.support.station_cloud import REGION
from tests.wire.conftest import LocalCloud

pytestmark = pytest.mark.wire

ACCOUNT, OTHER = "331987654321", "332987654321"
BOOTED_FROM_A_LEAF = ("jitp", "jitr")


@pytest.fixture(scope="module")
def line(
    local_cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProductionLine]:
    folder = tmp_path_factory.mktemp("line")
    methods = [each for each in METHODS if each != "claim-aws-keys"]
    with prepared_line(local_cloud, ACCOUNT, folder, *methods) as line:
        yield line


def made(line: ProductionLine, state: Path, *words: str | Path) -> dict[str, object]:
    finished = line.run(
        "make", "--method", line.method, "--serial", state.name, "--out", state, "--json", *words
    )
    assert finished.code == 0, finished.err
    answer: dict[str, object] = json.loads(finished.out.splitlines()[-1])
    return answer


@pytest.mark.parametrize("method", METHODS)
def test_second_device_of_a_serial_number_is_refused(
    line: ProductionLine, method: str, tmp_path: Path
) -> None:
    here = line.of(method)
    first = made(here, tmp_path / "one" / f"DUP-{method}")
    second = tmp_path / "two" / f"DUP-{method}"
    refused = here.run("make", "--method", method, "--serial", second.name, "--out", second)
    assert refused.code == ExitCode.FAILED
    assert str(first["device_id"]) in refused.err
    assert "--again" in refused.err
    assert not second.exists()


def test_batch_with_a_serial_number_that_is_taken_is_refused_whole(
    line: ProductionLine, tmp_path: Path
) -> None:
    made(line.of("claim"), tmp_path / "BATCH-2")
    listed = tmp_path / "serials.txt"
    listed.write_text("BATCH-1\nBATCH-2\n")
    refused = line.run("bulk", "--serials", listed, "--batch", "taken", "--out", tmp_path / "b")
    assert refused.code == ExitCode.FAILED
    assert "serial number BATCH-2 is taken" in refused.err
    assert not (tmp_path / "b").exists()


def test_batch_is_in_the_ledger(line: ProductionLine, tmp_path: Path) -> None:
    done = line.run("bulk", "--count", "2", "--batch", "LOT", "--out", tmp_path)
    assert done.code == 0, done.err
    entries = [each for each in Ledger(line.station).entries() if each.batch == "LOT"]
    assert [each.result.value for each in entries] == ["begun", "begun", "made", "made"]
    assert [each.certificate_id for each in entries[2:]] == [
        line.active("LOT-0001")[0], line.active("LOT-0002")[0],
    ]  # fmt: skip
    moved = line.run("bulk", "--batch", "LOT", "--out", tmp_path / "elsewhere")
    assert moved.code == ExitCode.MISUSE
    assert "--out: the devices of batch LOT are in" in moved.err
    again = line.run("bulk", "--batch", "LOT", "--out", tmp_path)
    assert again.code == 0, again.err
    assert len([each for each in Ledger(line.station).entries() if each.batch == "LOT"]) == 4


@pytest.mark.parametrize("method", ["claim", "jitr", "bulk", "single-thing", "multi-account"])
def test_again_turns_the_former_device_off(
    line: ProductionLine, method: str, tmp_path: Path
) -> None:
    here, serial = line.of(method), f"AGAIN-{method}"
    first = here.make(tmp_path / "one" / serial)
    assert here.boot(first).code == 0
    (former,) = here.active(serial)

    second = tmp_path / "two" / serial
    answer = made(here, second, "--again")

    described = here.client("iot").describe_certificate(certificateId=former)
    assert described["certificateDescription"]["status"] == "INACTIVE"
    assert former in str(answer["retired"])
    assert here.boot(second).code == 0
    assert len(here.active(serial)) == 1
    principals = here.client("iot").list_thing_principals(thingName=serial)["principals"]
    assert former not in str(principals)


def test_again_sets_the_folder_of_the_former_device_aside(
    line: ProductionLine, tmp_path: Path
) -> None:
    here, state = line.of("claim"), tmp_path / "ASIDE"
    first = made(here, state)
    second = made(here, state, "--again")
    aside = tmp_path / f"ASIDE.{str(first['device_id'])[:8]}"
    assert first["device_id"] != second["device_id"]
    assert aside.is_dir()
    assert str(aside) in str(second["retired"])


def test_again_says_what_is_to_be_done_about_a_device_that_never_connected(
    line: ProductionLine, tmp_path: Path
) -> None:
    here = line.of("jitp")
    made(here, tmp_path / "one" / "NEVER")
    answer = made(here, tmp_path / "two" / "NEVER", "--again")
    assert f"destroy {tmp_path / 'one' / 'NEVER'}" in str(answer["retired"])


@pytest.mark.parametrize("method", sorted(set(METHODS) - {"claim-own-ca", "trusted-user"}))
def test_retired_device_has_nothing_active_in_the_account(
    line: ProductionLine, method: str, tmp_path: Path
) -> None:
    here, serial = line.of(method), f"GONE-{method}"
    state = here.make(tmp_path / serial)
    assert here.boot_with_claim(state).code == 0

    gone = here.run("retire", "--serial", serial, "--delete-thing", "--json")

    assert gone.code == 0, gone.err
    (account,) = json.loads(gone.out)["accounts"]
    (certificate_id,) = account["certificates"]
    described = here.client("iot").describe_certificate(certificateId=certificate_id)
    assert described["certificateDescription"]["status"] == "INACTIVE"
    assert serial not in here.things()
    last = [each for each in Ledger(here.station).entries() if each.serial_number == serial][-1]
    assert last.result.value == "retired"


def test_nothing_of_a_new_batch_can_be_retried(line: ProductionLine, tmp_path: Path) -> None:
    refused = line.run("bulk", "--count", "1", "--batch", "NEW", "--retry", "--out", tmp_path)
    assert refused.code == ExitCode.MISUSE
    assert "--retry: nothing has failed in batch NEW" in refused.err


# --- the account ---------------------------------------------------------------------


@pytest.mark.parametrize("method", ["claim", "claim-aws-keys", "trusted-user", "jitp", "bulk"])
def test_device_for_another_account_is_refused_with_both_named(
    line: ProductionLine, method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", OTHER)
    state = tmp_path / f"OTHER-{method}"
    refused = line.run("make", "--method", method, "--serial", state.name, "--out", state)
    assert refused.code == ExitCode.CONFIGURATION_INVALID
    assert ACCOUNT in refused.err
    assert OTHER in refused.err
    assert not state.exists()


def test_device_for_another_region_is_refused(
    line: ProductionLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    state = tmp_path / "REGION"
    refused = line.run("make", "--method", "claim", "--serial", state.name, "--out", state)
    assert refused.code == ExitCode.CONFIGURATION_INVALID
    assert REGION in refused.err
    assert "us-east-1" in refused.err


def test_device_is_made_without_a_network(
    line: ProductionLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    made(line.of("claim"), tmp_path / "OFFLINE")


@pytest.mark.parametrize(("method", "kind"), [("claim", "JITP"), ("jitp", "FLEET_PROVISIONING")])
def test_template_of_the_wrong_type_is_refused(
    local_cloud: LocalCloud, tmp_path: Path, method: str, kind: str
) -> None:
    with prepared_line(local_cloud, f"33{len(kind):02}87654321", tmp_path, method) as line:
        iot, name = line.client("iot"), f"firstboot-{method}"
        there = iot.describe_provisioning_template(templateName=name)
        iot.delete_provisioning_template(templateName=name)
        iot.create_provisioning_template(
            templateName=name, templateBody=there["templateBody"], type=kind,
            provisioningRoleArn=there["provisioningRoleArn"],
        )  # fmt: skip
        refused = line.prepare()
    assert refused.code == ExitCode.CONFIGURATION_INVALID
    assert f"{name} is of type {kind}" in refused.err
    assert f"delete-provisioning-template --template-name {name}" in refused.err
