"""A soak in memory: one device renews every few seconds, while all that can fail fails."""

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from tests.support.effort import is_long
from tests.support.renewals import active_orphans, assert_one_identity, identity_of, renew_home
from tests.support.soak import soak
from tests.support.worlds import MemoryWorld, boot

SERIAL = "SN-1"
SECONDS = 600.0 if is_long() else 200.0
"""How long it lasts, by the device's clock."""
SEEDS = range(20) if is_long() else range(2)
FAULTS = (
    "unreachable", "cut-after-tls", "cut-before-request", "cut-before-reply", "drop-reply",
    "cut-on-publish", "no-puback",
)  # fmt: skip


class Trouble:
    """What can fail in memory."""

    def __init__(self, world: MemoryWorld, state: Path) -> None:
        self._world, self._state = world, state

    def restart_broker(self) -> None:
        self._world.cloud.restart_broker()

    def fault(self, chance: Random) -> None:
        self._world.fault(chance.choice(FAULTS))

    def power_came_back(self) -> None:
        """The cloud lets in whichever certificate the device now has."""
        world = self._world
        world.cloud.restart_broker()  # which the device does not hear any more
        world.clock.advance(1.0)
        assert world.cloud.lets_in(identity_of(world, self._state).certificate_id, SERIAL)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_soak_ends_with_one_identity(
    seed: int, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """In the long suite: ten minutes of the device's time, for each of 20 seeds."""
    world = MemoryWorld()
    state = world.make_device(tmp_path / "device", SERIAL)
    boot(world, state)

    counts = soak(world, state, Trouble(world, state), seed, SECONDS)

    world.cloud.faults.clear()
    renew_home(world, state)
    assert_one_identity(world, state, SERIAL)
    assert not active_orphans(world)
    record_property(f"soak, seed {seed}", dict(counts))
    print(f"\nsoak of {SECONDS:.0f} s, seed {seed}: {dict(counts)}")  # noqa: T201 - see it with -s
    assert min(counts[what] for what in ("power cuts", "renewed", "broker restarts")) > 0
