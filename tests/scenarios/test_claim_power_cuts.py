"""Pull the plug at every moment of the claim flow: it comes back as one thing, one certificate."""

from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device.config.methods import CLAIM_METHODS
from device.storage.device_storage import open_device_storage
from device.storage.keys import CLAIM_KEY
from device.storage.secure_storage import Uid
from tests.support.effort import examples, one_in
from tests.support.power import PowerCutError, PowerSupply
from tests.support.wire_world import WireWorld
from tests.support.worlds import MemoryWorld, boot, boot_home

SERIAL = "SN-1"


def new_world(method: str, *, strict: bool) -> MemoryWorld:
    """``strict``: the cloud takes no token twice, and its hook lets no serial in twice."""
    world = MemoryWorld()
    world.settings = msgspec.structs.replace(world.settings, method=method)
    world.cloud.used_tokens_are_refused = strict
    world.cloud.hook_allows_each_serial_once = strict
    return world


def moments_of_a_boot(tmp_path: Path, method: str) -> int:
    world, supply = new_world(method, strict=True), PowerSupply()
    boot(world, world.make_device(tmp_path / "count", SERIAL), supply=supply)
    return supply.moments


def assert_one_and_whole(world: MemoryWorld, state: Path) -> None:
    registry = world.registry(SERIAL)
    assert registry.things == [SERIAL]
    assert len(registry.active_certificates) == 1
    with open_device_storage(state, read_only=True, mount=world.mount) as storage:
        assert storage.keys.keys() == ["device-key.1"]
        assert CLAIM_KEY not in storage.keys.keys()  # noqa: SIM118 - a KeyStore is no dict
        assert not {Uid.CLAIM_CERTIFICATE, Uid.STAGED_CERTIFICATE, Uid.PROVISIONING_JOURNAL} & set(
            storage.ps.uids()
        )


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("method", CLAIM_METHODS)
def test_one_cut_at_every_moment(tmp_path: Path, method: str, strict: bool) -> None:
    moments = moments_of_a_boot(tmp_path, method)
    assert moments > 80, "the flow has more steps than this: the supply does not see them"
    for moment in one_in(1 if strict and method == "claim" else 8, range(1, moments + 1)):
        world = new_world(method, strict=strict)
        state = world.make_device(tmp_path / f"{moment}", SERIAL)
        with pytest.raises(PowerCutError):
            boot(world, state, supply=PowerSupply(cut_at=moment))

        identity = boot(world, state)

        assert identity.thing_name == SERIAL, moment
        assert world.registry(SERIAL).active_certificates == [identity.certificate_id], moment
        assert_one_and_whole(world, state)


@pytest.mark.parametrize("method", CLAIM_METHODS)
def test_a_cut_and_then_a_day_in_the_drawer(tmp_path: Path, method: str) -> None:
    moments = moments_of_a_boot(tmp_path, method)
    for moment in one_in(3 if method == "claim" else 8, range(1, moments + 1)):
        world = new_world(method, strict=True)
        state = world.make_device(tmp_path / f"{moment}", SERIAL)
        with pytest.raises(PowerCutError):
            boot(world, state, supply=PowerSupply(cut_at=moment))
        world.cloud.age_tokens(86_400.0)

        identity = boot_home(world, state)  # a trusted user's claim may end before the doubt

        assert world.registry(SERIAL).active_certificates == [identity.certificate_id], moment
        assert_one_and_whole(world, state)


FAULTS = ("drop-reply", "cut-before-reply", "cut-before-request", "unreachable", "cut-on-publish")


@settings(
    max_examples=examples(50),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    method=st.sampled_from(CLAIM_METHODS),
    cuts=st.lists(st.integers(1, 160), max_size=4),
    faults=st.lists(st.sampled_from(FAULTS), max_size=4),
    naps=st.lists(st.sampled_from([0.0, 0.0, 4000.0]), min_size=4, max_size=4),
)
def test_many_cuts_among_faults(
    tmp_path_factory: pytest.TempPathFactory,
    method: str,
    cuts: list[int],
    faults: list[str],
    naps: list[float],
) -> None:
    world = new_world(method, strict=True)
    state = world.make_device(tmp_path_factory.mktemp("device") / "d", SERIAL)
    for fault in faults:
        world.fault(fault)
    for moment, nap in zip(cuts, naps, strict=False):
        with suppress(PowerCutError):
            boot(world, state, supply=PowerSupply(cut_at=moment))
        world.cloud.age_tokens(nap)

    identity = boot_home(world, state)

    assert world.registry(SERIAL).active_certificates == [identity.certificate_id]
    assert_one_and_whole(world, state)


@pytest.mark.wire
@pytest.mark.parametrize("tenth", range(10))
def test_a_cut_over_tls(
    wire_world: WireWorld, tmp_path: Path, state: Path, serial: str, tenth: int
) -> None:
    moments = moments_of_a_boot(tmp_path, "claim")
    wire_world.clear_faults()
    wire_world.make_device(state, serial)
    with pytest.raises(PowerCutError):
        boot(wire_world, state, supply=PowerSupply(cut_at=1 + tenth * moments // 10))

    identity = boot(wire_world, state)

    registry = wire_world.registry(serial)
    assert registry.things == [serial]
    assert registry.active_certificates == [identity.certificate_id]
