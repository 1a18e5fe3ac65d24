"""What does the operation do about its connection, while a renewal goes on beside it?"""

from collections.abc import Sequence

from device.errors.storage import STORAGE_FAILURE
from device.operation.renewal import Due, RenewalOrders, Renewing
from device.operation.work import CONNECT_PACING_SECONDS, Work
from device.provisioning import events as ev
from device.provisioning.actions import Action, Connect, Promote
from device.provisioning.events import Credential
from device.runtime.backoff import Backoff


class Operating(Work):
    """An operation that is connected; it notes what it is told."""

    def __init__(self) -> None:
        self.told: list[ev.Event] = []

    step, timeout, is_routine = "operating", None, True

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


def renewing(operation: Work, renewal: Work, beside: Beside) -> Renewing:
    return Renewing(
        operation,
        new_renewal=lambda _, __: renewal,
        why_due=lambda: Due("a test wants it"),
        orders=RenewalOrders(),
        beside=beside,
        retries=Backoff(1.0, 1.0),
        failures=Backoff(60.0, 60.0),
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
