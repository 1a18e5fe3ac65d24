"""A device that a station made: do doctor and explain agree, before and after its first boot?"""

from pathlib import Path

import pytest

from tests.support.device_process import device_here
from tests.support.production_line import ProductionLine, production_line
from tests.wire.conftest import LocalCloud

pytestmark = pytest.mark.wire


def examined(state: Path) -> str:
    """Return the code that doctor ends with; nothing if all is well."""
    finished = device_here("doctor", "--state", state)
    return "" if finished.code == 0 else str(finished.error["code"])


def explained(line: ProductionLine, serial: str) -> str:
    """Return the code that explain ends with; nothing if there is no reason."""
    finished = line.run("explain", "--serial", serial, "--json")
    return "" if finished.code == 0 else str(finished.error["code"])


def test_a_device_by_claim_from_the_station_to_its_refusal(
    local_cloud: LocalCloud, tmp_path: Path
) -> None:
    with production_line(local_cloud, "406987654321", tmp_path, "claim") as line:
        assert line.prepare().code == 0
        state = line.make(tmp_path / "SN-DOCTOR-1")

        assert examined(state) == ""
        assert explained(line, state.name) == "FB-802"

        assert line.boot(state).code == 0
        assert examined(state) == ""
        assert explained(line, state.name) == ""

        [certificate] = line.active(state.name)
        iot = line.client("iot")
        arn = iot.describe_certificate(certificateId=certificate)["certificateDescription"]
        iot.detach_policy(policyName="firstboot-device", target=arn["certificateArn"])
        assert examined(state) == "FB-403"
        assert explained(line, state.name) == "FB-808"

        iot.update_certificate(certificateId=certificate, newStatus="INACTIVE")
        assert examined(state) == "FB-403"
        assert explained(line, state.name) == "FB-803"
