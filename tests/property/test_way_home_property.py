"""Whatever a hostile hour left behind, does an honest cloud bring the device home?"""

from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device.config.methods import CLAIM_METHODS, PRESENTED_METHODS
from device.errors import FirstbootError
from device.lifecycle import journal
from device.runtime.loop import Patience
from device.storage.device_storage import open_device_storage
from tests.support.effort import examples
from tests.support.power import PowerCutError, PowerSupply
from tests.support.worlds import MemoryWorld, boot, boot_home

SERIAL: Final = "SN-1"
PATIENCE: Final = Patience(unreachable=200.0, refused=20.0, activation=20.0)
BOOTS: Final = 6
"""An honest cloud has so many boots: a trusted user's claim ends within some of them."""

FAULTS: Final[dict[str, dict[str, object]]] = {
    "cut-at-hello": {},
    "cut-after-tls": {},
    "cut-at-connect": {"operation": SERIAL, "count": 30},
    "cut-before-reply": {},
    "cut-before-request": {},
    "cut-on-publish": {},
    "deny-publish": {},
    "drop-reply": {},
    "taken-over": {},
    "unreachable": {},
    "reject": {"operation": "provision", "status_code": 403, "error_code": "AccessDenied"},
    "garbage": {
        "operation": "provision",
        "payload": b'{"thingName": "SN-666", "deviceConfiguration": {}}',
    },
}
REJECTIONS: Final = (
    {"status_code": 400, "error_code": "InvalidCertificateOwnershipToken"},
    {"status_code": 400, "error_code": "NeverHeardOfIt"},
    {"status_code": 400, "error_code": "InvalidTemplate"},
    {"status_code": 503, "error_code": "ServiceUnavailable"},
)


def break_something(data: st.DataObject, world: MemoryWorld) -> None:
    """Do one hostile thing to the cloud."""
    cloud = world.cloud
    what = data.draw(
        st.sampled_from([*FAULTS, "rejection", "delete", "no policy", "behind", "nap"])
    )
    match what:
        case "rejection":
            rejection = data.draw(st.sampled_from(REJECTIONS))
            world.fault("reject", operation="provision", count=20, **rejection)
        case "delete":
            cloud.delete_certificates(SERIAL)
        case "no policy":
            cloud.attaches_policy = False
        case "behind":
            cloud.clock_ahead = data.draw(st.sampled_from([0.0, 86_400.0, 400_000_000.0]))
        case "nap":
            cloud.age_tokens(data.draw(st.sampled_from([600.0, 7200.0])))
        case _:
            world.fault(what, **FAULTS[what])


def is_proven(world: MemoryWorld, state: Path) -> bool:
    with open_device_storage(state, read_only=True, mount=world.mount) as storage:
        return journal.load_identity(storage.ps) is not None


def suffer(data: st.DataObject, world: MemoryWorld, boots: int, state: Path) -> None:
    """Boot among faults and power cuts, then make the cloud honest again.

    Half of the devices get as far as a thing whose certificate is refused, before it begins.
    """
    if data.draw(st.booleans()):
        world.cloud.attaches_policy = False
        with suppress(FirstbootError):
            boot(world, state, patience=PATIENCE)
    for _ in range(boots):
        break_something(data, world)
        cut_at = data.draw(st.none() | st.integers(1, 200))
        with suppress(PowerCutError, FirstbootError):
            boot(world, state, supply=PowerSupply(cut_at=cut_at), patience=PATIENCE)
    world.cloud.faults.clear()
    world.cloud.attaches_policy = True
    world.cloud.clock_ahead = 0.0


@settings(
    max_examples=examples(30),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    data=st.data(),
    method=st.sampled_from(CLAIM_METHODS),
    boots=st.integers(1, 5),
    strict=st.booleans(),
)
def test_every_stored_state_leads_home_by_claim(
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
    method: str,
    boots: int,
    *,
    strict: bool,
) -> None:
    world = MemoryWorld()
    world.settings = msgspec.structs.replace(world.settings, method=method)
    world.cloud.used_tokens_are_refused = strict
    state = world.make_device(tmp_path_factory.mktemp("device") / "d", SERIAL)
    suffer(data, world, boots, state)
    proven = is_proven(world, state)

    identity = boot_home(world, state, boots=BOOTS)

    with open_device_storage(state, read_only=True, mount=world.mount) as storage:
        told = journal.load_given_up(storage.ps)
    active = set(world.registry(SERIAL).active_certificates)
    assert identity.thing_name == SERIAL
    if not proven or active:  # one that was deleted after its proof only the station can replace
        assert active - set(told) == {identity.certificate_id}


@settings(
    max_examples=examples(20),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data(), method=st.sampled_from(PRESENTED_METHODS), boots=st.integers(1, 4))
def test_every_stored_state_leads_home_by_presenting(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, method: str, boots: int
) -> None:
    world = MemoryWorld()
    world.settings = msgspec.structs.replace(world.settings, method=method)
    state = tmp_path_factory.mktemp("device") / "d"
    leaf = world.make_device_with_leaf(state, SERIAL)
    suffer(data, world, boots, state)
    world.cloud.register_leaf(leaf, SERIAL)

    identity = boot_home(world, state)

    assert world.registry(SERIAL).active_certificates == [identity.certificate_id]
