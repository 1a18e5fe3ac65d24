"""Teardown leaves an account as it was found, whichever methods were used in it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from device.identity.certificates import certificate_id
from device.storage.device_storage import open_device_storage
from factory.making.device_leaf import installed_leaf
from factory.methods import METHODS
from tests.support.production_line import CONFIG, ProductionLine, production_line
from tests.support.station_cloud import contents
from tests.wire.conftest import LocalCloud
from tests.wire.localcloud_registry import status_of, until

pytestmark = pytest.mark.wire

HOOKED: Final = ("--config", CONFIG / "claim-hook.yaml")


@pytest.fixture
def line(local_cloud: LocalCloud, tmp_path: Path) -> Iterator[ProductionLine]:
    before = local_cloud.admin("GET", "settings")
    local_cloud.admin("PUT", "settings", {"jitp_seconds": 0.05, "registration_line_seconds": 0})
    with production_line(local_cloud, "318987654321", tmp_path, "claim") as line:
        yield line
    local_cloud.admin("PUT", "settings", before)


def use_every_method(line: ProductionLine) -> None:
    """Prepare each method, make a device with it, and let that prove itself."""
    for method in sorted(METHODS, key=lambda each: each == "claim-own-ca"):  # it signs for all
        on = line.of(method)
        is_hooked = method in {"claim", "claim-aws-keys"}
        prepared = on.run("prepare", "--method", method, *(["--hook"] if is_hooked else []))
        assert prepared.code == 0, prepared.err
        booted = on.boot_with_claim(
            on.make(line.folder / f"SN-{method}"), *(HOOKED if is_hooked else ())
        )
        assert booted.code == 0, booted.err


def use_in_vain(line: ProductionLine) -> None:
    """Have a device knock that nobody lets in."""
    on = line.of("jitr")
    state = on.make(line.folder / "SN-unwanted", "--not-allowed")
    assert on.boot(state, DEVICE_JUST_IN_TIME__BUDGET="0").code != 0
    with open_device_storage(state, read_only=True) as storage:
        leaf = certificate_id(installed_leaf(storage))
    until(lambda: status_of(on.client("iot"), leaf), "INACTIVE")


def add_what_is_somebody_elses(line: ProductionLine) -> None:
    iot = line.client("iot")
    iot.create_thing(thingName="theirs")
    statement = {"Effect": "Allow", "Action": "iot:Connect", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iot.create_policy(policyName="theirs", policyDocument=document)
    arn = iot.create_keys_and_certificate(setAsActive=True)["certificateArn"]
    iot.attach_policy(policyName="theirs", target=arn)
    iot.attach_thing_principal(thingName="theirs", principal=arn)


def test_the_account_is_as_it_was_found(line: ProductionLine) -> None:
    add_what_is_somebody_elses(line)
    before = contents(line.aws)
    use_every_method(line)
    use_in_vain(line)
    assert line.things() == sorted(["theirs", *(f"SN-{method}" for method in METHODS)])

    without_devices = line.run("teardown")
    kept = contents(line.aws)
    last = line.run("teardown", "--devices")

    assert "firstboot-devices  (2 device(s) in it; --devices removes them too)" in (
        without_devices.err
    )
    assert "firstboot  (1 device(s) in it; --devices removes them too)" in without_devices.err
    assert f"({len(METHODS)} device(s) work under it; --devices" in without_devices.err
    assert without_devices.err.endswith("Removed. 3 kept; the reason is given beside each.\n")
    assert kept["things"].keys() == {"theirs", *(f"SN-{method}" for method in METHODS)}
    changed = {kind for kind in kept if kept[kind] != before[kind]}
    assert changed == {"things", "certificates", "policies", "groups", "billing groups"}
    assert last.err.endswith("Removed.\n"), last.err
    assert contents(line.aws) == before
