"""Provisioning by claim with the station's hook: who is not on its list is told so, and no more."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from device.errors import ExitCode
from factory.account.allow_list import TABLE
from tests.support.production_line import CONFIG, ProductionLine, production_line
from tests.wire.conftest import LocalCloud

pytestmark = pytest.mark.wire

SETTINGS = ("--config", CONFIG / "claim-hook.yaml")


@pytest.fixture(scope="module")
def line(
    local_cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProductionLine]:
    folder = tmp_path_factory.mktemp("hooked")
    with production_line(local_cloud, "319987654321", folder, "claim") as line:
        assert line.run("prepare", "--method", "claim", "--hook").code == 0
        yield line


def entry(line: ProductionLine, serial: str) -> dict[str, Any]:
    """Return what the allow-list has for a device."""
    key = {"SerialNumber": {"S": serial}}
    found = line.client("dynamodb").get_item(TableName=TABLE, Key=key)["Item"]
    return dict(found)


@pytest.mark.parametrize("what", ["serial number", "proof"])
def test_device_that_is_not_on_the_list_as_it_is(
    line: ProductionLine, tmp_path: Path, what: str
) -> None:
    state = line.make(tmp_path / f"SN-{what.replace(' ', '-')}")
    table, right = line.client("dynamodb"), entry(line, state.name)
    if what == "proof":
        other = line.make(tmp_path / "SN-other")
        stolen = {**entry(line, other.name), "SerialNumber": right["SerialNumber"]}
        table.put_item(TableName=TABLE, Item=stolen)
    else:
        key = {"SerialNumber": right["SerialNumber"]}
        table.delete_item(TableName=TABLE, Key=key)

    denied = line.boot(state, *SETTINGS)

    assert denied.code == ExitCode.DENIED
    assert "RegisterThing was rejected: 403 AccessDenied" in denied.error["message"]
    assert "check the allow-list" in denied.error["next_step"]
    assert state.name not in line.things()
    table.put_item(TableName=TABLE, Item=right)
    proven = line.boot(state, *SETTINGS)
    assert proven.code == 0, proven.err
    assert line.active(state.name) == [proven.identity["certificate_id"]]
    assert "certificate issued" not in proven.steps, "it continues with the one that it has"
