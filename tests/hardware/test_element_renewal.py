"""Renewals with the key in a real element, against the local AWS over TLS."""

from pathlib import Path

import pytest

from device.agent import Agent
from device.config.device_plan import plan_for
from device.errors import FirstbootError
from device.storage.device_storage import open_device_storage
from device.storage.element.installation import install_element
from tests.hardware.conftest import Figures
from tests.support.elements import ElementBench
from tests.support.renewals import assert_one_identity, identity_of, renew
from tests.support.wire_world import WireWorld
from tests.support.worlds import Diary, boot
from tests.wire.conftest import LocalCloud


@pytest.fixture(scope="module")
def world(local_cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> WireWorld:
    world = WireWorld(local_cloud, tmp_path_factory.mktemp("station"))
    world.clear_faults()
    world.factory("prepare", "--method", "claim", "--renewal")
    return world


@pytest.fixture
def serial(label: str) -> str:
    return label.replace("dev-", "SN-")


@pytest.fixture
def provisioned(
    world: WireWorld, bench: ElementBench, label: str, serial: str, tmp_path: Path
) -> Path:
    state = world.make_device(tmp_path / "device", serial)
    with open_device_storage(state) as storage:
        install_element(storage, bench.new_token(label))
    boot(world, state)
    return state


def test_a_renewal_makes_the_new_key_in_the_element_and_destroys_the_old_one(
    world: WireWorld, provisioned: Path, serial: str
) -> None:
    old = identity_of(world, provisioned)

    new = renew(world, provisioned)

    assert new.key_uri.startswith("pkcs11:")
    assert new.key_uri != old.key_uri
    assert world.status(old.certificate_id) == "INACTIVE"
    assert_one_identity(world, provisioned, serial)


def test_run_renews_with_both_keys_in_use_at_once(
    world: WireWorld, provisioned: Path, serial: str, figures: Figures
) -> None:
    ends: list[FirstbootError | None] = []
    with open_device_storage(provisioned) as storage:
        agent = Agent(
            storage,
            world.settings,
            plan_for(storage, world.settings, "test"),
            open_session=world.open_session,
            clock=world.clock,
            observer=Diary(),
        )

        def ended(failure: FirstbootError | None) -> None:
            ends.append(failure)
            agent.session.request_stop()

        agent.renewal_orders.order("a test wants it", ended)
        agent.operate()
        agent.session.close()

    figures(f"a renewal while the device operates ended with {ends}")
    assert ends == [None]
    assert_one_identity(world, provisioned, serial)
