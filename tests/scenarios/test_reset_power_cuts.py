"""Whatever is cut, does a reset lead to the same thing, and a decommissioning to no key at all?"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from device.errors.storage import DECOMMISSIONED
from device.lifecycle import journal
from device.lifecycle.journal import Identity
from device.lifecycle.reset import decommission, reset
from device.storage.device_storage import open_device_storage
from device.storage.filesystem import Mount
from device.storage.lifecycle import Lifecycle
from tests.support.effort import one_in
from tests.support.errors import raises
from tests.support.power import PowerCutError, PowerSupply
from tests.support.renewals import active_orphans, assert_one_identity, renew, renew_home
from tests.support.worlds import MemoryWorld, boot, boot_home

STATE = Path("/device")


def proven_by_claim() -> tuple[MemoryWorld, Identity]:
    world = MemoryWorld()
    world.make_device(STATE, "SN-1")
    return world, boot(world, STATE)


def proven_with_a_leaf(method: str = "bulk") -> tuple[MemoryWorld, Identity]:
    world = MemoryWorld()
    world.settings = msgspec.structs.replace(world.settings, method=method)
    leaf = world.make_device_with_leaf(STATE, "SN-1")
    world.cloud.register_leaf(leaf, "SN-1")
    return world, boot(world, STATE)


def on(supply: PowerSupply, world: MemoryWorld) -> Mount:
    """Return the disks of ``world`` on this power supply."""
    return lambda folder: supply.mount(world.mount(folder))


Proven = Callable[[], tuple[MemoryWorld, Identity]]


@pytest.mark.parametrize("proven", [proven_by_claim, proven_with_a_leaf])
def test_a_reset_device_becomes_the_same_thing(proven: Proven) -> None:
    world, before = proven()
    with open_device_storage(STATE, mount=world.mount) as storage:
        assert reset(storage)

    after = boot(world, STATE)

    assert (after.thing_name, after.certificate_id) == (before.thing_name, before.certificate_id)
    registry = world.registry("SN-1")
    assert (registry.things, registry.active_certificates) == (["SN-1"], [before.certificate_id])


@pytest.mark.parametrize("proven", [proven_by_claim, proven_with_a_leaf])
def test_a_reset_is_cut_at_any_moment(proven: Proven) -> None:
    """The identity as it was, or one that waits for its proof: the next boot proves it."""
    world, before = proven()
    cuts = 0
    for moment in range(1, 1_000):
        supply = PowerSupply(moment)
        try:
            with open_device_storage(STATE, mount=on(supply, world)) as storage:
                reset(storage)
        except PowerCutError:
            cuts += 1
        else:
            break
        assert boot_home(world, STATE).certificate_id == before.certificate_id

    assert cuts > 10
    assert world.registry("SN-1").active_certificates == [before.certificate_id]


def test_a_certificate_that_was_deactivated_is_not_given_up_after_a_reset() -> None:
    """It is all that the device has."""
    world, before = proven_by_claim()
    with open_device_storage(STATE, mount=world.mount) as storage:
        reset(storage)
    certificate = world.cloud.certificates[before.certificate_id]
    certificate.status = "INACTIVE"
    for _ in range(4):
        with pytest.raises(Exception, match="refused"):
            boot(world, STATE)
        world.clock.advance(3_600.0)
    certificate.status = "ACTIVE"

    assert boot(world, STATE).certificate_id == before.certificate_id


def in_the_middle_of_a_renewal(moment: int) -> MemoryWorld:
    world, _ = proven_by_claim()
    with pytest.raises(PowerCutError):
        renew(world, STATE, supply=PowerSupply(moment))
    return world


def test_a_reset_in_the_middle_of_a_renewal_is_cut_at_any_moment() -> None:
    """The renewal is undone or completed; the device is the same thing with one certificate."""
    resets = Counter[str]()
    for begun in one_in(20, range(1, moments_of_a_renewal())):
        for moment in (*range(1, 30, 6), None):
            world, supply = in_the_middle_of_a_renewal(begun), PowerSupply(moment)
            try:
                with open_device_storage(STATE, mount=on(supply, world)) as storage:
                    reset(storage)
            except PowerCutError:
                resets["cut"] += 1
            else:
                resets["done"] += 1

            boot_home(world, STATE)
            renew_home(world, STATE)

            assert_one_identity(world, STATE, "SN-1")
            assert not active_orphans(world)

    assert resets["cut"] > resets["done"] > 5


def test_an_identity_that_is_forgotten_in_the_middle_of_a_renewal_names_each_certificate() -> None:
    for begun in one_in(20, range(1, moments_of_a_renewal())):
        world = in_the_middle_of_a_renewal(begun)
        with open_device_storage(STATE, mount=world.mount) as storage:
            reset(storage, forget_identity=True)
            given_up = journal.load_given_up(storage.ps)

            assert storage.keys.keys() == []
        active = set(world.registry("SN-1").active_certificates) | active_orphans(world)
        assert active <= set(given_up), begun


def test_a_decommissioning_in_the_middle_of_a_renewal() -> None:
    for begun in one_in(20, range(1, moments_of_a_renewal())):
        world = in_the_middle_of_a_renewal(begun)

        assert decommission(STATE, lambda _: None, mount=world.mount)

        with raises(DECOMMISSIONED):
            renew(world, STATE)


def moments_of_a_renewal() -> int:
    world, _ = proven_by_claim()
    supply = PowerSupply()
    renew(world, STATE, supply=supply)
    return supply.moments


def lifecycle_in(world: MemoryWorld) -> Lifecycle:
    with open_device_storage(STATE, read_only=True, mount=world.mount) as storage:
        return storage.lifecycle


def test_a_decommissioning_is_cut_at_any_moment(tmp_path: Path) -> None:
    world, _ = proven_by_claim()
    cuts, metrics = 0, tmp_path / "device.prom"
    for moment in range(1, 1_000):
        supply = PowerSupply(moment)
        if lifecycle_in(world) is Lifecycle.SECURED:
            metrics.write_bytes(b"x")
        try:
            decommission(STATE, find_metrics_file=lambda _: str(metrics), mount=on(supply, world))
        except PowerCutError:
            cuts += 1
            if lifecycle_in(world) is Lifecycle.DECOMMISSIONED:
                assert not metrics.exists(), "nobody can read any more where it is"
        else:
            break

    assert cuts > 3
    assert not decommission(STATE, mount=world.mount), "again does no harm"
    with open_device_storage(STATE, read_only=True, mount=world.mount) as storage:
        assert storage.lifecycle is Lifecycle.DECOMMISSIONED
        with raises(DECOMMISSIONED):
            journal.load_identity(storage.ps)
    with raises(DECOMMISSIONED):
        boot(world, STATE)
