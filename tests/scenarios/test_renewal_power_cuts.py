"""R4: pull the plug at every moment of a renewal; one identity works, and one remains."""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device.errors import FirstbootError
from device.lifecycle import journal
from device.storage.device_storage import open_device_storage
from tests.support.effort import examples, one_in
from tests.support.power import PowerCutError, PowerSupply
from tests.support.renewals import (
    active_orphans,
    assert_one_identity,
    identity_of,
    renew,
    renew_home,
)
from tests.support.worlds import MemoryWorld, boot

SERIAL = "SN-1"


def new_world(*, strict: bool = True) -> MemoryWorld:
    """``strict``: the cloud takes no token twice."""
    world = MemoryWorld()
    world.cloud.used_tokens_are_refused = strict
    return world


def provisioned(world: MemoryWorld, state: Path) -> Path:
    world.make_device(state, SERIAL)
    boot(world, state)
    return state


def spoiled(world: MemoryWorld) -> None:
    """The new certificate is not accepted, so the renewal rolls back."""
    world.cloud.renewal.refusal = "no"


def moments_of_a_renewal(tmp_path: Path, *, rolls_back: bool = False) -> int:
    world, supply = new_world(), PowerSupply()
    state = provisioned(world, tmp_path / "count")
    if rolls_back:
        spoiled(world)
    with suppress(FirstbootError):
        renew(world, state, supply=supply)
    return supply.moments


def assert_works(world: MemoryWorld, state: Path) -> None:
    """The identity that is stored is one that AWS IoT lets in, with its key at hand."""
    identity = identity_of(world, state)
    assert world.cloud.lets_in(identity.certificate_id, SERIAL)
    with open_device_storage(state, read_only=True, mount=world.mount) as storage:
        assert identity.key in storage.keys.keys()  # noqa: SIM118 - a KeyStore is no dict


def stored_state(world: MemoryWorld, state: Path) -> tuple[str, bool]:
    """Return what the journal says, and whether a certificate is still to be retired."""
    with open_device_storage(state, read_only=True, mount=world.mount) as storage:
        progress = type(journal.load(storage.ps)).__name__
        return progress, bool(journal.load_to_retire(storage.ps))


@pytest.mark.parametrize("strict", [True, False])
def test_one_cut_at_every_moment(
    tmp_path: Path, strict: bool, record_property: Callable[[str, object], None]
) -> None:
    moments = moments_of_a_renewal(tmp_path)
    assert moments > 100, "the flow has more steps than this: the supply does not see them"
    seen: Counter[tuple[str, bool]] = Counter()
    for moment in one_in(2 if strict else 7, range(1, moments + 1)):
        world = new_world(strict=strict)
        state = provisioned(world, tmp_path / f"{moment}")
        with pytest.raises(PowerCutError):
            renew(world, state, supply=PowerSupply(cut_at=moment))
        assert_works(world, state)
        seen[stored_state(world, state)] += 1

        renew_home(world, state)

        assert_one_identity(world, state, SERIAL)
        assert not active_orphans(world), moment
    record_property("cuts, by what was stored then", dict(seen))
    assert seen.keys() == {
        ("NoneType", False), ("Keyed", False), ("Staged", False), ("Registered", False),
        ("NoneType", True),
    }  # fmt: skip


def test_one_cut_at_every_moment_of_a_roll_back(tmp_path: Path) -> None:
    moments = moments_of_a_renewal(tmp_path, rolls_back=True)
    for moment in one_in(3, range(1, moments + 1)):
        world = new_world()
        state = provisioned(world, tmp_path / f"{moment}")
        old = identity_of(world, state)
        spoiled(world)
        with pytest.raises(PowerCutError):
            renew(world, state, supply=PowerSupply(cut_at=moment))
        assert_works(world, state)

        with pytest.raises(FirstbootError):
            renew(world, state)

        assert identity_of(world, state) == old
        assert_one_identity(world, state, SERIAL)


def test_a_cut_and_then_a_day_in_the_drawer(tmp_path: Path) -> None:
    for moment in one_in(3, range(1, moments_of_a_renewal(tmp_path) + 1)):
        world = new_world()
        state = provisioned(world, tmp_path / f"{moment}")
        with pytest.raises(PowerCutError):
            renew(world, state, supply=PowerSupply(cut_at=moment))
        world.cloud.age_tokens(86_400.0)

        renew_home(world, state)

        assert_one_identity(world, state, SERIAL)


FAULTS = ("drop-reply", "cut-before-reply", "cut-before-request", "unreachable", "another-answer")


@settings(
    max_examples=examples(50),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    cuts=st.lists(st.integers(1, 170), max_size=4),
    faults=st.lists(st.sampled_from(FAULTS), max_size=4),
    naps=st.lists(st.sampled_from([0.0, 0.0, 4000.0]), min_size=4, max_size=4),
    refused=st.booleans(),
)
def test_from_wherever_cuts_and_faults_lead_an_honest_cloud_leads_to_one_identity(
    tmp_path_factory: pytest.TempPathFactory,
    cuts: list[int],
    faults: list[str],
    naps: list[float],
    refused: bool,
) -> None:
    world = new_world()
    state = provisioned(world, tmp_path_factory.mktemp("device") / "d")
    world.cloud.renewal.refuses_new_ones = refused
    for fault in faults:
        world.fault(fault, certificateId="e" * 64)
    for moment, nap in zip(cuts, naps, strict=False):
        with suppress(PowerCutError, FirstbootError):
            renew(world, state, supply=PowerSupply(cut_at=moment))
        assert_works(world, state)
        world.cloud.age_tokens(nap)
    world.cloud.renewal.refuses_new_ones = False

    renew_home(world, state)

    assert_one_identity(world, state, SERIAL)
    assert not active_orphans(world)
