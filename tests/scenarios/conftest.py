"""The worlds a scenario runs in: every scenario once in memory, and once over TLS."""

from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import pytest

from device.config.methods import METHODS
from tests.support.wire_world import WireWorld
from tests.support.worlds import MemoryWorld, World
from tests.wire.conftest import LocalCloud

USUALLY_PERCENT = 5
"""How rude the cloud is in every scenario over TLS."""


@pytest.fixture(scope="session")
def wire_world(local_cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> WireWorld:
    """The local AWS, prepared once for all scenarios."""
    return WireWorld(local_cloud, tmp_path_factory.mktemp("station"))


@pytest.fixture(params=["memory", pytest.param("wire", marks=pytest.mark.wire)])
def world(request: pytest.FixtureRequest) -> World:
    """One world after the other."""
    if request.param == "memory":
        return MemoryWorld()
    wire: WireWorld = request.getfixturevalue("wire_world")
    wire.clear_faults()
    return wire


@pytest.fixture(scope="session", params=METHODS)
def method_world(
    request: pytest.FixtureRequest,
    local_cloud: LocalCloud,
    tmp_path_factory: pytest.TempPathFactory,
) -> WireWorld:
    """The local AWS, prepared for one method after the other, by one station.

    An account has one certificate provider, and it signs for all, so that method is on its own.
    """
    base = tmp_path_factory.getbasetemp()
    if request.param == "claim-own-ca":
        return WireWorld(local_cloud, base / "station-of-own-ca", request.param, "619876543210")
    return WireWorld(local_cloud, base / "station-of-all", request.param)


@pytest.fixture
def wire(method_world: WireWorld, request: pytest.FixtureRequest) -> Iterator[WireWorld]:
    """One method on the local AWS, which is a little rude, the same way for the same test."""
    method_world.clear_faults()
    method_world.set(jitp_seconds=0.2, registration_line_seconds=0)
    method_world.be_rude(USUALLY_PERCENT, crc32(request.node.nodeid.encode()))
    yield method_world
    method_world.be_rude(0, 0)


@pytest.fixture
def memory() -> MemoryWorld:
    """An AWS IoT Core of the test's own, for what only a fake can do."""
    return MemoryWorld()


@pytest.fixture
def serial(request: pytest.FixtureRequest) -> str:
    """A serial number that no other test uses."""
    return f"SN-{abs(hash(request.node.nodeid)) % 10**10}"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Where the device's storage goes."""
    return tmp_path / "device"
