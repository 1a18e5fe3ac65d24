"""A thousand renewals in a row, while the device publishes: is there a hole, or a second identity?"""

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from device.agent import Agent
from device.config.device_plan import plan_for
from device.errors import FirstbootError, StoppedError
from device.operation.renewal import RenewalOrders
from device.operation.task import Order, QuietTask
from device.storage.device_storage import open_device_storage
from tests.support.effort import is_long
from tests.support.hang import allow
from tests.support.renewals import assert_one_identity, identity_of
from tests.support.wire_world import WireWorld
from tests.support.worlds import Diary, MemoryWorld, World, boot

MANY = 1_000
EVERY_SECONDS = 0.1
"""The shortest that a device may be told to wait between two readings."""


class Rotations(QuietTask):
    """Orders ``count`` renewals, one after the other, and looks at the registry after each."""

    def __init__(self, orders: RenewalOrders, count: int, look: Callable[[], None]) -> None:
        self._orders, self._left, self._look = orders, count, look
        self._due = -1.0

    def next_due(self) -> float:
        return self._due

    def on_due(self, now: float) -> Sequence[Order]:
        if self._left == 0:
            raise StoppedError("all renewals are done")
        self._left -= 1
        self._due = float("inf")
        self._orders.order("a test wants it", self._ended)
        return []

    def _ended(self, failure: FirstbootError | None) -> None:
        assert failure is None
        self._look()
        self._due = -1.0


def rotate(world: World, state: Path, serial: str, count: int) -> dict[str, int]:
    """Renew ``count`` times while the device publishes; return what can be counted."""
    world.settings = msgspec.structs.replace(
        world.settings,
        telemetry=msgspec.structs.replace(world.settings.telemetry, interval=EVERY_SECONDS),
    )
    diary, seen = Diary(), [identity_of(world, state).certificate_id]

    def look() -> None:
        [active] = world.registry(serial).active_certificates
        assert active not in seen, "each renewal has a certificate of its own"
        seen.append(active)

    with open_device_storage(state, mount=world.mount) as storage:
        agent = Agent(
            storage,
            world.settings,
            plan_for(storage, world.settings, "test"),
            open_session=world.open_session,
            clock=world.clock,
            observer=diary,
        )
        agent.operate(Rotations(agent.renewal_orders, count, look))
        agent.session.close()
    arrived = [int(detail.split()[1]) for name, detail in diary.steps if name == ACKNOWLEDGED]
    assert arrived == list(range(1, len(arrived) + 1)), "no hole, no reading twice"
    return {"renewals": len(seen) - 1, "readings acknowledged": len(arrived)}


ACKNOWLEDGED = "telemetry acknowledged"


def test_renewals_in_a_row_lose_no_reading(
    memory: MemoryWorld, state: Path, serial: str, record_property: Callable[[str, object], None]
) -> None:
    """Thirty of them; a thousand in the long suite."""
    count = MANY if is_long() else 30
    memory.make_device(state, serial)
    boot(memory, state)

    counts = rotate(memory, state, serial, count)

    record_property("rotations in memory", counts)
    print(f"\nin memory: {counts}")  # noqa: T201 - see it with -s
    assert counts["renewals"] == count
    assert_one_identity(memory, state, serial)


@pytest.mark.wire
@pytest.mark.long
def test_a_thousand_renewals_over_tls_lose_no_reading(
    wire_world: WireWorld,
    state: Path,
    serial: str,
    record_property: Callable[[str, object], None],
) -> None:
    allow(3.0 * MANY)
    wire_world.clear_faults()
    wire_world.factory("prepare", "--method", "claim", "--renewal")
    wire_world.make_device(state, serial)
    boot(wire_world, state)

    counts = rotate(wire_world, state, serial, MANY)

    record_property("rotations over TLS", counts)
    print(f"\nover TLS: {counts}")  # noqa: T201 - see it with -s
    assert counts["renewals"] == MANY
    assert_one_identity(wire_world, state, serial)
