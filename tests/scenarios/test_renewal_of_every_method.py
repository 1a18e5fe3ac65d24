"""Each method's device, made by the real station, renews over TLS: twice, and cut in between."""

from pathlib import Path

import pytest

from tests.support.power import PowerCutError, PowerSupply
from tests.support.renewals import assert_one_identity, identity_of, renew, renew_home
from tests.support.wire_world import WireWorld
from tests.support.worlds import boot

pytestmark = pytest.mark.wire


def test_a_device_of_every_method_renews(wire: WireWorld, state: Path, serial: str) -> None:
    wire.be_rude(0, 0)
    wire.factory("prepare", "--method", wire.method, "--renewal")
    state = wire.make_device(state, serial)
    first = boot(wire, state)

    second = renew(wire, state)
    with pytest.raises(PowerCutError):
        renew(wire, state, supply=PowerSupply(cut_at=90))
    renew_home(wire, state)

    last = identity_of(wire, state)
    assert len({first.certificate_id, second.certificate_id, last.certificate_id}) == 3
    assert last.key_made_by == "device"
    assert {wire.status(each.certificate_id) for each in (first, second)} == {"INACTIVE"}
    assert_one_identity(wire, state, serial)
