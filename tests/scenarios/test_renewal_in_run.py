"""A device that operates renews its certificate by itself, and loses no message."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from device.agent import Agent
from device.config.device_plan import plan_for
from device.errors import FirstbootError, StoppedError
from device.errors.renewal import RENEWAL_RUNNING
from device.lifecycle.journal import Identity
from device.lifecycle.reset import reset
from device.operation.deeds import Done, Renew
from device.operation.renewal import RenewalOrders
from device.operation.task import Order, QuietTask
from device.provisioning.events import Event
from device.storage.device_storage import open_device_storage
from tests.support.clock import FakeClock
from tests.support.effort import is_long
from tests.support.errors import raises, suppressed
from tests.support.renewals import assert_one_identity, identity_of
from tests.support.worlds import PATIENCE, Diary, MemoryWorld, boot

SERIAL = "SN-1"
DAY = 86_400.0


class Until(QuietTask):
    """A task that stops the device at a moment, and does something at others."""

    def __init__(self, clock: FakeClock, seconds: float) -> None:
        self._clock = clock
        self._end = clock.monotonic() + seconds

    def next_due(self) -> float:
        return self._end

    def on_due(self, now: float) -> Sequence[Order]:
        raise StoppedError("the test is over")


class Sleep(Until):
    """Suspends the device: the wall clock goes on, and the other one does not."""

    def __init__(self, clock: FakeClock, asleep: float, *, after: float) -> None:
        super().__init__(clock, after)
        self._asleep = asleep

    def on_due(self, now: float) -> Sequence[Order]:
        self._clock.set_wall(self._clock.wall() + self._asleep)
        self._end = float("inf")
        return []


@pytest.fixture
def provisioned(memory: MemoryWorld, tmp_path: Path) -> Path:
    state = memory.make_device(tmp_path / "device", SERIAL)
    memory.settings = msgspec.structs.replace(
        memory.settings,
        telemetry=msgspec.structs.replace(memory.settings.telemetry, interval=1.0),
        renewal=msgspec.structs.replace(memory.settings.renewal, max_age_days=30.0),
    )
    boot(memory, state)
    return state


def operate(
    memory: MemoryWorld, state: Path, *tasks: Until, order: bool = False, diary: Diary | None = None
) -> Identity:
    """Run the device until a task stops it; return its identity then."""
    with open_device_storage(state, mount=memory.mount) as storage:
        agent = Agent(
            storage,
            memory.settings,
            plan_for(storage, memory.settings, "test"),
            open_session=memory.open_session,
            clock=memory.clock,
            observer=diary or Diary(),
        )
        agent.boot(PATIENCE)
        if order:
            agent.renewal_orders.order("a test wants it")
        agent.operate(*tasks)
        agent.session.close()
    return identity_of(memory, state)


def readings(memory: MemoryWorld) -> list[int]:
    """Return the sequence numbers of the telemetry that arrived."""
    messages = [json.loads(payload) for _, _, payload in memory.cloud.published]
    return [message["sequence"] for message in messages if "sequence" in message]


def steps(diary: Diary) -> list[str]:
    return [name for name, _ in diary.steps]


def test_a_young_certificate_is_not_renewed(memory: MemoryWorld, provisioned: Path) -> None:
    old = identity_of(memory, provisioned)

    new = operate(memory, provisioned, Until(memory.clock, 100.0))

    assert new == old


def test_a_certificate_is_renewed_at_its_age(memory: MemoryWorld, provisioned: Path) -> None:
    old = identity_of(memory, provisioned)
    memory.clock.advance(31 * DAY)

    new = operate(memory, provisioned, Until(memory.clock, 100.0))

    assert new.certificate_id != old.certificate_id
    assert_one_identity(memory, provisioned, SERIAL)


def test_a_certificate_is_renewed_at_a_part_of_its_life(
    memory: MemoryWorld, provisioned: Path
) -> None:
    memory.settings = msgspec.structs.replace(
        memory.settings,
        renewal=msgspec.structs.replace(memory.settings.renewal, max_age_days=None),
    )
    old = identity_of(memory, provisioned)
    memory.clock.advance(0.67 * (old.not_after - old.promoted_at))

    new = operate(memory, provisioned, Until(memory.clock, 100.0))

    assert new.certificate_id != old.certificate_id


class Ahead(FakeClock):
    """A device's clock that is ahead of the cloud's, by a hundred years."""

    def __init__(self, right: FakeClock) -> None:
        super().__init__()
        self._right = right

    def wall(self) -> float:
        return self._right.wall() + 100 * 365 * DAY

    def monotonic(self) -> float:
        return self._right.monotonic()


def test_a_clock_that_is_ahead_for_good_has_the_certificate_renewed_once(
    memory: MemoryWorld, provisioned: Path
) -> None:
    """To such a device each new certificate seems to have ended long ago."""
    memory.clock, diary = Ahead(memory.clock), Diary()

    operate(memory, provisioned, Until(memory.clock, 3_600.0), diary=diary)

    assert steps(diary).count("renewed") == 1


def test_an_ordered_renewal_begins_at_once(memory: MemoryWorld, provisioned: Path) -> None:
    old = identity_of(memory, provisioned)

    new = operate(memory, provisioned, Until(memory.clock, 30.0), order=True)

    assert new.certificate_id != old.certificate_id


def test_what_fell_due_while_the_device_slept_is_seen_a_minute_after(
    memory: MemoryWorld, provisioned: Path
) -> None:
    old = identity_of(memory, provisioned)
    sleep = Sleep(memory.clock, 31 * DAY, after=10.0)

    new = operate(memory, provisioned, sleep, Until(memory.clock, 100.0))

    assert new.certificate_id != old.certificate_id


def test_no_reading_is_lost_over_a_renewal(memory: MemoryWorld, provisioned: Path) -> None:
    operate(memory, provisioned, Until(memory.clock, 60.5), order=True)

    assert sorted(set(readings(memory))) == list(range(1, len(set(readings(memory))) + 1))
    assert len(set(readings(memory))) >= 60


def test_the_old_connection_serves_until_the_new_certificate_is_promoted(
    memory: MemoryWorld, provisioned: Path
) -> None:
    operate(memory, provisioned, Until(memory.clock, 60.0), order=True)

    clients = [client for _, client in memory.cloud.connects]
    assert clients.count(SERIAL) == 3  # for the proof; then for the operation, old and new
    assert clients[-1] == SERIAL
    assert memory.cloud.peak_sessions == 2


def test_a_failing_renewal_disturbs_nothing_is_told_and_is_tried_again(
    memory: MemoryWorld, provisioned: Path
) -> None:
    old, diary = identity_of(memory, provisioned), Diary()
    memory.clock.advance(31 * DAY)
    memory.cloud.renewal.refusal = "no"

    new = operate(memory, provisioned, Until(memory.clock, 1800.0), diary=diary)

    assert new == old
    assert steps(diary).count("renewal failed") >= 3
    numbers = readings(memory)
    assert sorted(set(numbers)) == list(range(1, len(set(numbers)) + 1))


def test_a_renewal_works_when_the_cloud_does_again(memory: MemoryWorld, provisioned: Path) -> None:
    memory.clock.advance(31 * DAY)
    memory.cloud.renewal.refusal = "no"
    old = operate(memory, provisioned, Until(memory.clock, 600.0))
    memory.cloud.renewal.refusal = ""

    new = operate(memory, provisioned, Until(memory.clock, 1800.0))

    assert new.certificate_id != old.certificate_id
    assert_one_identity(memory, provisioned, SERIAL)


def test_a_cloud_that_is_silent_costs_two_certificates_at_most(
    memory: MemoryWorld, provisioned: Path
) -> None:
    memory.clock.advance(31 * DAY)
    memory.cloud.renewal.is_silent = True

    operate(memory, provisioned, Until(memory.clock, 3600.0))

    assert len(memory.registry(SERIAL).active_certificates) == 2


def test_an_old_certificate_that_was_not_retired_is_retired_without_another_renewal(
    memory: MemoryWorld, provisioned: Path
) -> None:
    memory.fault("cut-before-request", operation="retire", count=20)

    new = operate(memory, provisioned, Until(memory.clock, 600.0), order=True)
    again = operate(memory, provisioned, Until(memory.clock, 2400.0))

    assert again == new
    assert_one_identity(memory, provisioned, SERIAL)


def test_a_second_order_while_one_runs_is_refused(memory: MemoryWorld, provisioned: Path) -> None:
    with open_device_storage(provisioned, mount=memory.mount) as storage:
        agent = Agent(
            storage,
            memory.settings,
            plan_for(storage, memory.settings, "test"),
            open_session=memory.open_session,
            clock=memory.clock,
            observer=Diary(),
        )
        agent.renewal_orders.order("one")

        with raises(RENEWAL_RUNNING):
            agent.renewal_orders.order("two")


def test_who_ordered_a_renewal_is_told_how_it_ended(memory: MemoryWorld, provisioned: Path) -> None:
    ends: list[FirstbootError | None] = []
    with open_device_storage(provisioned, mount=memory.mount) as storage:
        agent = Agent(
            storage,
            memory.settings,
            plan_for(storage, memory.settings, "test"),
            open_session=memory.open_session,
            clock=memory.clock,
            observer=Diary(),
        )
        agent.renewal_orders.order("a job", ends.append)
        agent.operate(Until(memory.clock, 60.0))

    assert ends == [None]


class Again(Until):
    """Orders a renewal whenever the last one has ended, so many times, then stops the device."""

    def __init__(self, clock: FakeClock, orders: RenewalOrders, times: int) -> None:
        super().__init__(clock, 1.0)
        self._orders, self._left = orders, times
        self.ends: list[FirstbootError | None] = []

    def on_due(self, now: float) -> Sequence[Order]:
        self._end = now + 1.0
        if len(self.ends) == self._left:
            raise StoppedError("the test is over")
        with suppressed(RENEWAL_RUNNING):
            self._orders.order("a test wants it", self.ends.append)
        return []


def test_no_reading_is_lost_over_many_renewals_in_a_row(
    memory: MemoryWorld, provisioned: Path, record_property: Callable[[str, object], None]
) -> None:
    """A thousand of them in the long suite."""
    times = 1000 if is_long() else 40
    with open_device_storage(provisioned, mount=memory.mount) as storage:
        agent = Agent(
            storage,
            memory.settings,
            plan_for(storage, memory.settings, "test"),
            open_session=memory.open_session,
            clock=memory.clock,
            observer=Diary(),
        )
        agent.operate(Again(memory.clock, agent.renewal_orders, times))

    numbers = readings(memory)
    holes = set(range(1, max(numbers) + 1)) - set(numbers)
    record_property("renewals, readings, holes", (times, len(numbers), len(holes)))
    assert not holes
    assert len(memory.cloud.renewal.registered) == times
    assert_one_identity(memory, provisioned, SERIAL)


class ByJob(Until):
    """Has the certificate renewed as the job ``rotate-certificate`` does, twice at once."""

    def __init__(self, clock: FakeClock, seconds: float) -> None:
        super().__init__(clock, seconds)
        self._orders: list[Order] = [Renew("first"), Renew("second")]
        self.done: dict[str, Done] = {}

    def on_connected(self) -> Sequence[Order]:
        orders, self._orders = self._orders, []
        return orders

    def on_fact(self, fact: Event) -> Sequence[Order]:
        if isinstance(fact, Done):
            self.done[fact.ticket] = fact
        return []


def test_a_job_renews_the_certificate_and_is_told_both(
    memory: MemoryWorld, provisioned: Path
) -> None:
    old, job = identity_of(memory, provisioned), ByJob(memory.clock, 60.0)

    new = operate(memory, provisioned, job)

    assert job.done["first"].problem == ""
    assert job.done["first"].details == {
        "before": old.certificate_id,
        "after": new.certificate_id,
    }
    assert_one_identity(memory, provisioned, SERIAL)


def test_a_rotation_job_during_a_rotation_is_told_so(
    memory: MemoryWorld, provisioned: Path
) -> None:
    job = ByJob(memory.clock, 60.0)

    operate(memory, provisioned, job)

    assert "FB-446" in job.done["second"].problem
    assert len(memory.cloud.renewal.registered) == 1


def test_a_job_is_told_why_a_renewal_failed(memory: MemoryWorld, provisioned: Path) -> None:
    memory.cloud.renewal.refusal = "no"
    job = ByJob(memory.clock, 600.0)

    operate(memory, provisioned, job)

    assert "FB-444" in job.done["first"].problem


@pytest.mark.parametrize("forgets", [False, True])
@pytest.mark.parametrize("operation", ["create-from-csr", "provision", "prove", "retire"])
def test_a_reset_during_a_renewal_loses_no_key_and_leaves_none(
    memory: MemoryWorld, provisioned: Path, operation: str, *, forgets: bool
) -> None:
    memory.fault("cut-before-reply", operation=operation, count=None)
    operate(memory, provisioned, Until(memory.clock, 20.0), order=True)
    memory.cloud.faults.clear()

    with open_device_storage(provisioned, mount=memory.mount) as storage:
        reset(storage, forget_identity=forgets)
        keys = storage.keys.keys()

    assert len(keys) == (0 if forgets else 1)
    if not forgets:
        boot(memory, provisioned)
        operate(memory, provisioned, Until(memory.clock, 3000.0))
        assert_one_identity(memory, provisioned, SERIAL)
