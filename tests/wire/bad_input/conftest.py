"""One account with every method prepared; each test spoils something in it, and mends it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from factory.methods import METHODS
from tests.support.production_line import ProductionLine, prepared_line
from tests.wire.conftest import LocalCloud


@pytest.fixture(scope="package")
def plant(
    local_cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProductionLine]:
    """One station that has prepared every method."""
    before = local_cloud.admin("GET", "settings")
    fast = {"jitp_seconds": 0.05, "registration_line_seconds": 0}
    local_cloud.admin("PUT", "settings", {**fast, "jitp_serial_number": "subject"})
    folder = tmp_path_factory.mktemp("plant")
    beside = [method for method in METHODS if method != "claim-own-ca"]
    with prepared_line(local_cloud, "316987654321", folder, *beside) as line:
        yield line
    local_cloud.admin("PUT", "settings", before)


@pytest.fixture(scope="package")
def plant_with_own_ca(
    local_cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProductionLine]:
    """Another station, in an account of its own, since its CA signs for all who are in there."""
    folder = tmp_path_factory.mktemp("plant-with-own-ca")
    with prepared_line(local_cloud, "326987654321", folder, "claim-own-ca") as line:
        yield line


@pytest.fixture
def line(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ProductionLine:
    """The line of one method."""
    name = "plant_with_own_ca" if request.param == "claim-own-ca" else "plant"
    plant: ProductionLine = request.getfixturevalue(name)
    for variable, value in plant.environment.items():
        monkeypatch.setenv(variable, value)
    return plant.of(request.param)


@pytest.fixture
def state(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Where a device goes; it is called as its folder."""
    return tmp_path / f"SN-{abs(hash(request.node.nodeid)) % 10**10}"
