"""What does the operation do about its connection, while a renewal goes on beside it?"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest

from device.errors.storage import STORAGE_FAILURE
from device.operation.renewal import (
    LATEST_LOOK,
    SOONEST_LOOK,
    Due,
    RenewalOrders,
    Renewing,
    seconds_to_look,
)
from device.operation.task import Report
from device.operation.work import CONNECT_PACING_SECONDS, Work
from device.provisioning import events as ev
from device.provisioning.actions import Action, Connect, Promote
from device.provisioning.events import Credential
from device.runtime.backoff import Backoff


class Operating(Work):
    """An operation that is connected; it notes what it is told."""

    def __init__(self) -> None:
        self.told: list[ev.Event] = []

    step, timeout = "operating", None
    is_routine: bool = True

    def begin(self) -> ev.Event:
        return ev.Disconnected()

    def resume(self) -> ev.Event:
        return ev.NothingStored()

    def reply_in(self, message: ev.MessageReceived, /) -> ev.Event | None:
        return None

    def receive(self, event: ev.Event, now: float, /) -> Sequence[Action]:
        self.told.append(event)
        return [Connect(Credential.DEVICE, "SN-1")] if isinstance(event, ev.NothingStored) else []


class Renewal(Operating):
    """A renewal that gives one order for each fact."""

    def __init__(self, *orders: Action) -> None:
        super().__init__()
        self.orders = list(orders)

    def receive(self, event: ev.Event, now: float, /) -> Sequence[Action]:
        return [self.orders.pop(0)] if self.orders else []

    def carry_out(self, order: Action, /) -> ev.Event | None:
        raise STORAGE_FAILURE.error("stored, and failed all the same")


class Beside:
    """A second connection that notes its orders."""

    has_news = False

    def __init__(self) -> None:
        self.performed: list[Action] = []

    def perform(self, order: Action, /) -> None:
        self.performed.append(order)

    def take(self) -> ev.Event | None:
        return ev.NotLetIn("not yet")

    def close(self) -> None:
        """Nothing is open."""


def renewing(
    operation: Work,
    renewal: Work,
    beside: Beside,
    look: Callable[[], Due | float] = lambda: Due("a test wants it"),
) -> Renewing:
    return Renewing(
        operation,
        new_renewal=lambda _, __: renewal,
        look=look,
        orders=RenewalOrders(),
        beside=beside,
        retries=Backoff(1.0, 1.0),
        failures=Backoff(600.0, 600.0),
    )


def test_after_a_promotion_that_failed_the_device_connects_with_what_is_stored() -> None:
    """The commit may stand: the old certificate must not have itself retired."""
    operation = Operating()
    work = renewing(operation, Renewal(Promote("SN-1")), Beside())

    orders = work.on_due(0.0)

    assert isinstance(operation.told[0], ev.ConnectionLost)
    assert Connect(Credential.DEVICE, "SN-1") in orders


def test_the_second_connection_is_made_once_a_second_at_most() -> None:
    proof = Connect(Credential.STAGED, "renew-SN-1")
    beside = Beside()
    work = renewing(Operating(), Renewal(proof, proof), beside)
    work.on_due(0.0)
    beside.has_news = True
    work.on_due(0.3)  # it was not let in, and is tried again
    assert beside.performed == [proof]

    assert work.next_due() == CONNECT_PACING_SECONDS
    work.on_due(CONNECT_PACING_SECONDS)

    assert beside.performed == [proof, proof]


def looks_until(due_at: float) -> list[float]:
    """Return when a device looked at the clock, the last time because a renewal was due."""
    now, looks = 0.0, []
    work = renewing(
        Operating(), Renewal(), Beside(), lambda: due_at - now if now < due_at else Due("its age")
    )
    while not any(isinstance(each, Report) for each in work.on_due(now)):
        looks.append(now)
        now = work.next_due()
    return [*looks, now]


@pytest.mark.parametrize(("due_at", "most_looks"), [(1.0, 2), (600.0, 11), (1e5, 70), (1e7, 530)])
def test_a_device_looks_more_often_as_its_renewal_comes_near(
    due_at: float, most_looks: int
) -> None:
    looks = looks_until(due_at)

    assert due_at <= looks[-1] < due_at + SOONEST_LOOK
    waits = [later - sooner for sooner, later in pairwise(looks)]
    assert waits == sorted(waits, reverse=True)
    assert max(waits) == seconds_to_look(due_at)
    assert len(looks) <= most_looks


def test_a_suspend_or_a_clock_that_is_set_costs_a_tenth_of_what_was_left() -> None:
    assert [seconds_to_look(left) for left in (0.0, 2_400.0, 20_000.0, math.inf)] == [
        SOONEST_LOOK,
        240.0,
        2_000.0,
        LATEST_LOOK,
    ]


def test_a_device_that_lost_its_connection_looks_within_a_minute() -> None:
    """It may have been suspended, or its certificate may be dead."""
    operation = Operating()
    work = renewing(operation, Renewal(), Beside(), lambda: math.inf)
    work.on_due(0.0)
    assert work.next_due() == LATEST_LOOK

    operation.is_routine = False
    work.receive(ev.ConnectionLost("it is gone"), 100.0)
    work.receive(ev.ConnectFailed("and stays gone"), 130.0)

    assert work.next_due() == 100.0 + SOONEST_LOOK


def test_a_renewal_that_failed_waits_for_its_turn_whatever_the_connection_does() -> None:
    operation = Operating()
    work = renewing(operation, Renewal(Promote("SN-1")), Beside())
    work.on_due(0.0)
    failed_until = work.next_due()

    operation.is_routine = False
    work.receive(ev.ConnectionLost("it is gone"), 1.0)

    assert work.next_due() == failed_until
