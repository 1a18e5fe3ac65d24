"""A soak: one device renews every few seconds, while broker, network and power fail at random."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from device.agent import Agent
from device.config.device_plan import plan_for
from device.errors import StoppedError
from device.errors.renewal import RENEWAL_RUNNING
from device.operation.renewal import RenewalOrders
from device.operation.task import Order, QuietTask
from device.storage.device_storage import open_device_storage
from device.storage.filesystem import Fs
from tests.support.effort import is_long
from tests.support.errors import suppressed
from tests.support.power import PowerCutError, PowerSupply
from tests.support.renewals import active_orphans, assert_one_identity, identity_of, renew_home
from tests.support.worlds import Diary, MemoryWorld, boot

SERIAL = "SN-1"
SECONDS = 600.0 if is_long() else 200.0
"""How long it lasts, by the device's clock."""
SEEDS = range(20) if is_long() else range(2)
FAULTS = (
    "unreachable", "cut-after-tls", "cut-before-request", "cut-before-reply", "drop-reply",
    "cut-on-publish", "no-puback",
)  # fmt: skip


class Storm(QuietTask):
    """Orders a renewal every few seconds, and lets something fail now and then."""

    def __init__(
        self, world: MemoryWorld, orders: RenewalOrders, chance: Random, counts: Counter[str]
    ) -> None:
        self._world, self._orders, self._chance, self._counts = world, orders, chance, counts
        self._due = world.clock.monotonic()

    def next_due(self) -> float:
        return self._due

    def on_due(self, now: float) -> Sequence[Order]:
        if now >= SECONDS:
            raise StoppedError("the soak is over")
        self._due = now + self._chance.uniform(1.0, 5.0)
        if self._chance.random() < 0.1:
            self._counts["broker restarts"] += 1
            self._world.cloud.restart_broker()
        if self._chance.random() < 0.1:
            self._counts["faults"] += 1
            self._world.fault(self._chance.choice(FAULTS))
        with suppressed(RENEWAL_RUNNING):
            self._orders.order("the soak wants it")
        return []


def live(world: MemoryWorld, state: Path, chance: Random, counts: Counter[str]) -> None:
    """Have the device at work until the power fails, or the soak is over."""
    supply = PowerSupply(cut_at=chance.randint(20, 2_000))

    def mount(folder: Path) -> Fs:
        return supply.mount(world.mount(folder))

    with open_device_storage(state, mount=mount) as storage:
        diary = Diary()
        agent = Agent(
            storage,
            world.settings,
            plan_for(storage, world.settings, "test"),
            open_session=lambda *what: supply.session(world.open_session(*what)),
            clock=world.clock,
            dice=chance,
            observer=diary,
        )
        try:
            agent.operate(Storm(world, agent.renewal_orders, chance, counts))
        finally:
            counts.update(name for name, _ in diary.steps if name.startswith("renew"))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_soak_ends_with_one_identity(
    seed: int, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """In the long suite: ten minutes of the device's time, for each of 20 seeds."""
    world, chance, counts = MemoryWorld(), Random(seed), Counter[str]()  # noqa: S311 - a test
    state = world.make_device(tmp_path / "device", SERIAL)
    boot(world, state)
    while world.clock.monotonic() < SECONDS:
        with suppress(PowerCutError):
            live(world, state, chance, counts)
            break
        counts["power cuts"] += 1
        world.cloud.restart_broker()  # which the device does not hear any more
        world.clock.advance(1.0)
        identity = identity_of(world, state)
        assert world.cloud.lets_in(identity.certificate_id, SERIAL)
    world.cloud.faults.clear()

    renew_home(world, state)

    assert_one_identity(world, state, SERIAL)
    assert not active_orphans(world)
    record_property(f"soak, seed {seed}", dict(counts))
    print(f"\nsoak of {SECONDS:.0f} s, seed {seed}: {dict(counts)}")  # noqa: T201 - see it with -s
    assert min(counts[what] for what in ("power cuts", "renewed", "broker restarts")) > 0
