"""A year of certificates of three days over TLS, in minutes: by the local AWS's clock."""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from device.agent import Agent
from device.config.device_plan import plan_for
from device.errors import StoppedError
from device.errors.renewal import CERTIFICATE_EXPIRED
from device.operation.renewal import RenewalOrders
from device.operation.task import Order, QuietTask
from device.runtime.clock import SystemClock
from device.storage.device_storage import open_device_storage
from factory.methods.claim_own_ca import PROVIDER
from localcloud.process.state_folder import StateFolder
from tests.support.errors import raises
from tests.support.hang import allow
from tests.support.renewals import assert_one_identity, renew
from tests.support.wire_world import WireWorld
from tests.support.worlds import Diary, boot
from tests.wire.conftest import LocalCloud, described, free_ports, local_aws_in

pytestmark = [pytest.mark.wire, pytest.mark.long]

SERIAL = "SN-YEAR"
DAYS = 365
LIFE_HOURS = 72
STEP_HOURS = 6
HOUR = 3_600.0
REST_SECONDS = 0.03
"""So long, of this machine's time, the device is at work between two steps."""
ALLOWED_SECONDS = 3_600.0


class Time(SystemClock):
    """One clock for the cloud and the device; TLS alone goes by this machine's."""

    def __init__(self, cloud: LocalCloud) -> None:
        self._cloud = cloud
        self.ahead = 0.0

    def wall(self) -> float:
        return super().wall() + self.ahead

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead

    def advance(self, seconds: float) -> None:
        """Move both on, and have the provider sign until three days from then.

        It dates certificates by this machine's clock, as TLS does, so their end lies further off.
        """
        self._cloud.admin("POST", "clock", {"advance_seconds": seconds})
        self.ahead += seconds
        functions = self._cloud.client("lambda")
        found = functions.get_function_configuration(FunctionName=PROVIDER)
        variables = found["Environment"]["Variables"]
        hours = LIFE_HOURS + math.ceil(self.ahead / HOUR)
        functions.update_function_configuration(
            FunctionName=PROVIDER, Environment={"Variables": variables | {"LIFE_HOURS": str(hours)}}
        )


class Year(QuietTask):
    """Moves the clocks on while no renewal runs, until a year is over."""

    def __init__(self, orders: RenewalOrders, time: Time) -> None:
        self._orders, self._time = orders, time
        self._due = 0.0

    def next_due(self) -> float:
        return self._due

    def on_due(self, now: float) -> Sequence[Order]:
        if self._time.ahead >= DAYS * 24 * HOUR:
            raise StoppedError("the year is over")
        if not self._orders.is_running:
            self._time.advance(STEP_HOURS * HOUR)
        self._due = self._time.monotonic() + REST_SECONDS
        return []


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[LocalCloud]:
    """A local AWS of its own, since its clock is moved."""
    folder = StateFolder(tmp_path / "cloud")
    with local_aws_in(folder, free_ports()) as started:
        yield described(started, folder)


def test_a_year_of_certificates_of_three_days(
    cloud: LocalCloud, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    allow(ALLOWED_SECONDS)
    world = WireWorld(cloud, tmp_path / "station", "claim-own-ca")
    life = "--certificate-hours", str(LIFE_HOURS)
    world.factory("prepare", "--method", "claim-own-ca", "--renewal", *life)
    seldom = msgspec.structs.replace(world.settings.telemetry, interval=24 * HOUR)
    world.settings = msgspec.structs.replace(world.settings, telemetry=seldom)
    world.clock = time = Time(cloud)
    state, diary = world.make_device(tmp_path / "device", SERIAL), Diary()
    boot(world, state)

    with open_device_storage(state) as storage:
        agent = Agent(
            storage,
            world.settings,
            plan_for(storage, world.settings, "test"),
            open_session=world.open_session,
            clock=time,
            observer=diary,
        )
        agent.operate(Year(agent.renewal_orders, time))
        agent.session.close()

    counts = counted(diary)
    record_property("a year of short lives", counts)
    print(f"\n{DAYS} days over TLS: {counts}")  # noqa: T201 - see it with -s
    assert DAYS * 24 / LIFE_HOURS < counts["renewed"] < DAYS * 24 / (0.6 * LIFE_HOURS)
    assert_one_identity(world, state, SERIAL)
    time.advance(2 * LIFE_HOURS * HOUR)
    with raises(CERTIFICATE_EXPIRED):
        renew(world, state)


def counted(diary: Diary) -> dict[str, Any]:
    names = [name for name, _ in diary.steps]
    wanted = ("renewed", "renewal waits", "renewal failed", "telemetry acknowledged", "operating")
    return {name: names.count(name) for name in wanted}
