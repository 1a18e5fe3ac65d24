"""A renewal over TLS, with the template, the rule and the Lambdas that the station prepared."""

from pathlib import Path

import pytest

from tests.support.renewals import assert_one_identity, renew
from tests.support.wire_world import WireWorld
from tests.support.worlds import boot

pytestmark = pytest.mark.wire


@pytest.fixture(scope="module")
def renewing_world(wire_world: WireWorld) -> WireWorld:
    wire_world.factory("prepare", "--method", "claim", "--renewal")
    return wire_world


def test_a_renewal_over_tls(renewing_world: WireWorld, state: Path, serial: str) -> None:
    renewing_world.make_device(state, serial)
    old = boot(renewing_world, state)

    new = renew(renewing_world, state)

    assert new.certificate_id != old.certificate_id
    assert renewing_world.status(old.certificate_id) == "INACTIVE"
    assert_one_identity(renewing_world, state, serial)
