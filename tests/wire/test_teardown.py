"""An account in which every method was used: the audit has no finding, teardown leaves nothing."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from device.identity.certificates import certificate_id
from device.storage.device_storage import open_device_storage
from factory.diagnosis.audit import Audit, AuditFinding
from factory.making.device_leaf import installed_leaf
from factory.methods import METHODS
from tests.support.device_process import Finished
from tests.support.production_line import CONFIG, ProductionLine, production_line
from tests.support.station_cloud import REGION, contents
from tests.wire.conftest import LocalCloud
from tests.wire.localcloud_registry import status_of, until

pytestmark = pytest.mark.wire

HOOKED: Final = ("--config", CONFIG / "claim-hook.yaml")


@pytest.fixture(scope="module")
def line(
    local_cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProductionLine]:
    before = local_cloud.admin("GET", "settings")
    local_cloud.admin("PUT", "settings", {"jitp_seconds": 0.05, "registration_line_seconds": 0})
    folder = tmp_path_factory.mktemp("line")
    with production_line(local_cloud, "318987654321", folder, "claim") as line:
        yield line
    local_cloud.admin("PUT", "settings", before)


@dataclass(frozen=True)
class Used:
    """An account that every method was used in, from its first day to its last."""

    before: dict[str, Any]
    things: list[str]
    audited: Finished
    six_days_later: list[AuditFinding]
    """What the audit would find then, when nobody has renewed anything."""
    without_devices: Finished
    kept: dict[str, Any]
    last: Finished
    after: dict[str, Any]


@pytest.fixture(scope="module")
def used(line: ProductionLine) -> Used:
    add_what_is_somebody_elses(line)
    before = contents(line.aws)
    use_every_method(line)
    use_in_vain(line)
    things, audited = line.things(), line.run("audit", "--json")
    later = list(Audit(line.aws, now=datetime.now(UTC) + timedelta(days=6)).findings())
    without_devices = line.run("teardown")
    kept = contents(line.aws)
    last = line.run("teardown", "--devices")
    after = contents(line.aws)
    return Used(before, things, audited, later, without_devices, kept, last, after)


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
    resource = f"arn:aws:iot:{REGION}:{line.account}:client/theirs"
    statement = {"Effect": "Allow", "Action": "iot:Connect", "Resource": resource}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iot.create_policy(policyName="theirs", policyDocument=document)
    arn = iot.create_keys_and_certificate(setAsActive=True)["certificateArn"]
    iot.attach_policy(policyName="theirs", target=arn)
    iot.attach_thing_principal(
        thingName="theirs", principal=arn, thingPrincipalType="EXCLUSIVE_THING"
    )


EVERY_THING: Final = {"theirs", *(f"SN-{method}" for method in METHODS)}


def test_the_audit_finds_nothing_in_an_account_with_a_device_of_every_method(used: Used) -> None:
    assert used.things == sorted(EVERY_THING)
    assert used.audited.out == ""
    assert used.audited.code == 0, used.audited.err


def test_a_certificate_that_lives_for_a_week_ends_soon_in_its_last_quarter(used: Used) -> None:
    assert [each.code for each in used.six_days_later] == ["FB-858"]


def test_devices_and_what_they_need_are_kept(used: Used) -> None:
    said = used.without_devices.err
    assert "firstboot-devices  (2 device(s) in it; --devices removes them too)" in said
    assert "firstboot  (1 device(s) in it; --devices removes them too)" in said
    assert f"({len(METHODS)} device(s) work under it; --devices" in said
    assert said.endswith("Removed. 3 kept; the reason is given beside each.\n")
    assert used.kept["things"].keys() == EVERY_THING
    changed = {kind for kind in used.kept if used.kept[kind] != used.before[kind]}
    assert changed == {"things", "certificates", "policies", "groups", "billing groups"}


def test_the_account_is_as_it_was_found(used: Used) -> None:
    assert used.last.err.endswith("Removed.\n"), used.last.err
    assert used.after == used.before
