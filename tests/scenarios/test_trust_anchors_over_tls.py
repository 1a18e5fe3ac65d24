"""R7 over TLS: awscrt trusts the new anchors alone, and the server has to stand the test."""

import json
from pathlib import Path

import pytest

from device.agent import Agent
from device.config.device_plan import plan_for
from device.lifecycle.journal import load_identity
from device.storage.device_storage import open_device_storage
from device.storage.secure_storage import Uid
from tests.support.certificates import DeviceAuthority
from tests.support.renewals import renew
from tests.support.wire_world import WireWorld
from tests.support.worlds import Diary, boot

pytestmark = pytest.mark.wire

OTHER = DeviceAuthority("another root").certificate_pem


@pytest.fixture(scope="module")
def renewing_world(wire_world: WireWorld) -> WireWorld:
    wire_world.clear_faults()
    wire_world.factory("prepare", "--method", "claim", "--renewal")
    return wire_world


@pytest.fixture
def renewed(renewing_world: WireWorld, state: Path, serial: str) -> Path:
    """A device whose certificate belongs to its thing exclusively."""
    renewing_world.make_device(state, serial)
    boot(renewing_world, state)
    renew(renewing_world, state)
    return state


def trusted(state: Path) -> bytes:
    with open_device_storage(state, read_only=True) as storage:
        assert Uid.STAGED_ROOT_CA not in storage.ps.uids()
        return storage.ps.get(Uid.ROOT_CA)


class UntilTold(Diary):
    """Stops the device when its job has ended, and AWS IoT was told."""

    agent: Agent | None = None

    def add(self, name: str, detail: str = "") -> None:
        super().add(name, detail)
        if name == "job ended" and self.agent is not None:
            self.agent.session.request_stop()


def do_job(world: WireWorld, state: Path, bundle: bytes) -> list[tuple[str, str]]:
    """Order ``bundle`` by a job; return what the device said until the job ended."""
    diary = UntilTold()
    with open_device_storage(state, mount=world.mount) as storage:
        agent = diary.agent = Agent(
            storage,
            world.settings,
            plan_for(storage, world.settings, "test"),
            open_session=world.open_session,
            clock=world.clock,
            observer=diary,
        )
        identity = load_identity(storage.ps)
        assert identity is not None
        thing = world.iot.describe_thing(thingName=identity.thing_name)
        document = {"operation": "update-trust-anchors", "root_ca": bundle.decode()}
        world.iot.create_job(
            jobId=f"{state.parent.name}-{len(bundle)}",
            targets=[thing["thingArn"]],
            document=json.dumps(document),
        )
        agent.operate()
        agent.session.close()
    return diary.steps


def test_a_bundle_without_the_servers_root_is_rolled_back(
    renewing_world: WireWorld, renewed: Path
) -> None:
    before = trusted(renewed)

    said = do_job(renewing_world, renewed, OTHER)

    detail = dict(said)["trial ended"]
    assert "did not work" in detail
    assert "is not trusted" in detail  # nor was it for another reason
    assert trusted(renewed) == before
    renew(renewing_world, renewed)  # the device still trusts the server


def test_a_bundle_with_the_servers_root_and_another_is_promoted(
    renewing_world: WireWorld, renewed: Path
) -> None:
    both = trusted(renewed) + OTHER

    said = do_job(renewing_world, renewed, both)

    assert ("trial ended", "it worked") in said
    assert trusted(renewed) == both
    renew(renewing_world, renewed)
