"""Does a device keep its certificate after a lost reply, a power cut, two hours and a hang-up?

Over TLS, ten times for each method.
"""

from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from device.errors import FirstbootError
from device.provisioning.events import Event
from device.storage.device_storage import open_device_storage
from device.storage.secure_storage import Uid
from tests.scenarios.test_methods_over_tls import assert_one_and_whole
from tests.support.power import PowerCutError
from tests.support.wire_world import WireWorld
from tests.support.worlds import Diary, boot, boot_home

pytestmark = [pytest.mark.wire, pytest.mark.long]

TIMES = 10
CUTS = ({"kind": "cut-at-connect"}, {"kind": "cut-after-packet", "packets": 1})
LATE = {"ThingRegistered", "PublishAcknowledged"}
"""A device of the just-in-time methods has no reply that could get lost but the last."""


class CutWhenRegistered(Diary):
    """Pulls the plug when the cloud has registered the thing and the device has not noted it."""

    def received(self, event: Event, state: Enum) -> None:
        super().received(event, state)
        if type(event).__name__ in LATE:
            raise PowerCutError


@pytest.mark.parametrize("cut", CUTS, ids=lambda cut: cut["kind"])
@pytest.mark.parametrize("time", range(TIMES // 2))
def test_one_hang_up_two_hours_later(
    wire: WireWorld, state: Path, serial: str, time: int, cut: dict[str, Any]
) -> None:
    state = wire.make_device(state, serial)
    with suppress(PowerCutError):
        boot(wire, state, diary=CutWhenRegistered())
    wire.expire_tokens()
    wire.fault(client_id=serial, **cut)

    diary = Diary()
    with suppress(FirstbootError):
        boot(wire, state, diary=diary)
    identity = boot_home(wire, state, diary=diary)

    assert_one_and_whole(wire, state, serial, identity.certificate_id)
    with open_device_storage(state, read_only=True) as storage:
        assert Uid.STAGED_CERTIFICATE not in storage.ps.uids()
    assert len(wire.iot.list_thing_principals(thingName=serial)["principals"]) == 1
