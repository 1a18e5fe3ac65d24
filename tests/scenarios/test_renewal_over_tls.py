"""Renewals over TLS, with the template, the rule and the Lambdas that the station prepared."""

from pathlib import Path

import pytest

from device.agent import Agent
from device.config.device_plan import plan_for
from device.errors import FirstbootError
from device.storage.device_storage import DeviceStorage, open_device_storage
from tests.support.power import PowerCutError, PowerSupply
from tests.support.renewals import assert_one_identity, identity_of, renew, renew_home
from tests.support.wire_world import WireWorld
from tests.support.worlds import Diary, boot

pytestmark = pytest.mark.wire


@pytest.fixture(scope="module")
def renewing_world(wire_world: WireWorld) -> WireWorld:
    wire_world.clear_faults()
    wire_world.factory("prepare", "--method", "claim", "--renewal")
    return wire_world


@pytest.fixture
def provisioned(renewing_world: WireWorld, state: Path, serial: str) -> Path:
    renewing_world.make_device(state, serial)
    boot(renewing_world, state)
    return state


def attach_as_before(world: WireWorld, serial: str, certificate_id: str) -> None:
    described = world.iot.describe_certificate(certificateId=certificate_id)
    arn = described["certificateDescription"]["certificateArn"]
    world.iot.attach_thing_principal(
        thingName=serial, principal=arn, thingPrincipalType="NON_EXCLUSIVE_THING"
    )


def test_two_renewals_over_tls(renewing_world: WireWorld, provisioned: Path, serial: str) -> None:
    """The first is made with a certificate that an older template attached."""
    old = identity_of(renewing_world, provisioned)
    attach_as_before(renewing_world, serial, old.certificate_id)

    renewed = [renew(renewing_world, provisioned).certificate_id for _ in range(2)]

    assert len({old.certificate_id, *renewed}) == 3
    assert renewing_world.status(old.certificate_id) == "INACTIVE"
    assert renewing_world.status(renewed[0]) == "INACTIVE"
    assert_one_identity(renewing_world, provisioned, serial)


def agent_of(world: WireWorld, storage: DeviceStorage) -> Agent:
    return Agent(
        storage,
        world.settings,
        plan_for(storage, world.settings, "test"),
        open_session=world.open_session,
        clock=world.clock,
        observer=Diary(),
    )


@pytest.mark.parametrize("fifth", range(5))
def test_a_cut_over_tls(
    renewing_world: WireWorld, provisioned: Path, serial: str, fifth: int
) -> None:
    with pytest.raises(PowerCutError):
        renew(renewing_world, provisioned, supply=PowerSupply(cut_at=15 + fifth * 24))

    renew_home(renewing_world, provisioned)

    assert_one_identity(renewing_world, provisioned, serial)


def test_run_renews_beside_the_connection_that_operates(
    renewing_world: WireWorld, provisioned: Path, serial: str
) -> None:
    old = identity_of(renewing_world, provisioned)
    ends: list[FirstbootError | None] = []
    with open_device_storage(provisioned, mount=renewing_world.mount) as storage:
        agent = agent_of(renewing_world, storage)

        def ended(failure: FirstbootError | None) -> None:
            ends.append(failure)
            agent.session.request_stop()

        agent.renewal_orders.order("a test wants it", ended)
        agent.operate()
        agent.session.close()

    assert ends == [None]
    assert identity_of(renewing_world, provisioned).certificate_id != old.certificate_id
    assert_one_identity(renewing_world, provisioned, serial)
