"""A proven device at work: the tasks over one connection, as a machine of events and orders.

It connects, subscribes for the tasks and hands them what comes in. After any failure it asks to
wait and connects again; it never ends by itself. Several publications are under way at a time
(`device.operation.sending`), each with a ticket, so that each acknowledgement is known to be for
which, whatever a broker leaves out. Where the server kept the session, nothing is subscribed again.
A task whose subscription is denied has no part in that connection.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Final

from device.errors import FirstbootError
from device.errors.provisioning import IDENTITY_REFUSED, NOT_LET_IN, in_order_of_likelihood
from device.operation.counters import Counters
from device.operation.sending import PUBLISHES_A_SECOND, Sending
from device.operation.task import Deed, Order, Report, Task, matches
from device.operation.work import Work
from device.provisioning import events as ev
from device.provisioning.actions import Action, Connect, Publish, Subscribe, WaitBeforeRetry
from device.provisioning.events import Credential
from device.provisioning.failures import CAUSES, error_of

REFUSALS: Final = 3
"""So many refusals in a row are no accident: the cloud refuses this identity."""
AT_LEAST_ONCE: Final = 1
FILTERS_A_PACKET: Final = 8  # AWS IoT Core quotas: subscriptions per SUBSCRIBE
MOST_WAITING: Final = 100
"""Publications of one task that wait for those before them; what comes on top is dropped."""
_FAILURES: Final = (
    ev.NotLetIn,
    ev.ConnectFailed,
    ev.ConnectionLost,
    ev.PublishDenied,
    ev.NotAcknowledged,
    ev.TimedOut,
)


class Resumed(ev.Event, frozen=True):
    """The wait is over: it is time to connect."""


class State(StrEnum):
    """What the device does; the value is how a person would say it."""

    CONNECTING = "connecting"
    SUBSCRIBING = "subscribing"
    OPERATING = "operating"
    WAITING = "waiting to connect again"


class Operation(Work):
    """Runs ``tasks`` as the thing ``thing_name``."""

    def __init__(  # noqa: PLR0913 - one object per collaborator, all named at the one call
        self,
        thing_name: str,
        tasks: Sequence[Task],
        *,
        connect_timeout: float,
        reply_timeout: float,
        publish_rate: int = PUBLISHES_A_SECOND,
        is_connected: bool = False,
        carry_out: Callable[[Deed], ev.Event | None] | None = None,
        counters: Counters | None = None,
    ) -> None:
        """Begin with the connection that is open if ``is_connected``, else with a new one.

        At most ``publish_rate`` publications are sent in a second. ``carry_out`` does what a task
        orders beside the connection, and returns what came of it.
        """
        self._thing_name: Final = thing_name
        self._tasks: Final = tuple(tasks)
        self._connect_timeout: Final = connect_timeout
        self._reply_timeout: Final = reply_timeout
        self._is_connected: Final = is_connected
        self._carry_out: Final = carry_out
        self._counters: Final = counters or Counters()
        self._state = State.CONNECTING
        self._sending: Final = Sending(publish_rate)
        self._dropped = 0
        self._are_subscribed = False
        self._denied: Final[set[str]] = set()
        """Topic filters that this connection may not subscribe to."""
        self._refusals, self._refused_since = 0, 0.0
        self._now = 0.0

    @property
    def step(self) -> str:
        """What the device does, in words."""
        return self._state

    @property
    def timeout(self) -> float | None:
        """Seconds that connecting or subscribing may take, or None for neither."""
        if self._state is State.CONNECTING:
            return self._connect_timeout
        return None if self._sending.subscribing is None else self._reply_timeout

    @property
    def overdue_at(self) -> float:
        """When the oldest publication under way must have been acknowledged."""
        return self._sending.oldest_sent_at + self._reply_timeout

    @property
    def is_routine(self) -> bool:
        """Whether it may take long without a message."""
        return self._state is State.OPERATING

    @property
    def is_refused(self) -> bool:
        """Whether AWS IoT refused this identity so often in a row that it is no accident."""
        return self._refusals >= REFUSALS

    def begin(self) -> ev.Event:
        """Return the fact to begin with."""
        return ev.Connected(Credential.DEVICE) if self._is_connected else Resumed()

    def resume(self) -> ev.Event:
        """Return the fact to continue with after a wait."""
        return Resumed()

    def reply_in(self, message: ev.MessageReceived) -> ev.Event | None:
        """Return ``message`` if a task subscribed to it."""
        return message if self._readers(message.topic) else None

    def receive(self, event: ev.Event, now: float) -> Sequence[Action]:
        """Return what follows from ``event``; unexpected events change nothing."""
        self._now = now
        match event:
            case Resumed():
                self._state = State.CONNECTING
                return [Connect(Credential.DEVICE, self._thing_name)]
            case ev.Connected() if self._state is State.CONNECTING:
                self._counters.connected()
                return self._connected(is_kept=event.session_present)
            case ev.MessageReceived():
                self._counters.messages += 1
                readers = self._readers(event.topic)
                return [o for task in readers for o in self._take(task, task.on_message(event))]
            case ev.Subscribed() | ev.SubscriptionDenied():
                return self._subscription_answered(event)
            case ev.PublishAcknowledged(ticket):
                return self._acknowledged(ticket)
            case _ if isinstance(event, _FAILURES):
                cause = self._cause(event, now)
                self._counters.failed(event)
                return [*self._disconnected(), WaitBeforeRetry(cause)]
        return [order for task in self._tasks for order in self._take(task, task.on_fact(event))]

    def carry_out(self, order: Action) -> ev.Event | None:
        """Do what a task ordered beside the connection."""
        if self._carry_out is None or not isinstance(order, Deed):
            return super().carry_out(order)
        return self._carry_out(order)

    def next_due(self) -> float:
        """Return when the first of the tasks has something to do, or something may be sent."""
        return min(self._sending.next_due, *[task.next_due() for task in self._tasks])

    def on_due(self, now: float) -> Sequence[Action]:
        """Have each task do what is due, and send what had to wait for its second."""
        self._now = now
        due = [task for task in self._tasks if task.next_due() <= now]
        said = [order for task in due for order in self._take(task, task.on_due(now))]
        return said if due else self._send()

    def on_stopped(self) -> Sequence[Report]:
        """Say what remains undone."""
        said = [report for task in self._tasks for report in task.on_stopped()]
        return [*said, *self._dropped_since()]

    def _readers(self, topic: str) -> list[Task]:
        return [
            task
            for task in self._tasks
            if any(matches(wanted, topic) for wanted in task.subscriptions())
        ]

    def _connected(self, *, is_kept: bool) -> Sequence[Action]:
        self._state, self._refusals = State.SUBSCRIBING, 0
        if is_kept and self._are_subscribed:
            return self._subscribed()
        self._denied.clear()
        filters = dict.fromkeys(name for task in self._tasks for name in task.subscriptions())
        names = tuple(filters)
        for start in range(0, len(names), FILTERS_A_PACKET):
            packet = Subscribe(names[start : start + FILTERS_A_PACKET], AT_LEAST_ONCE)
            self._sending.add(packet)
        return self._send() or self._subscribed()

    def _subscribed(self) -> Sequence[Action]:
        self._state, self._are_subscribed = State.OPERATING, not self._denied
        allowed = [task for task in self._tasks if self._denied.isdisjoint(task.subscriptions())]
        orders = [o for task in allowed for o in self._take(task, task.on_connected())]
        return [Report("operating"), *orders]

    def _subscription_answered(self, event: ev.Event) -> Sequence[Action]:
        """Go on with the next subscription, or with the work."""
        if self._sending.subscribing is None:
            return []
        self._sending.subscribing = None
        said: list[Action] = []
        if isinstance(event, ev.SubscriptionDenied):
            # Whatever needs no messages, such as telemetry, goes on.
            denied = error_of(event, self.step, Credential.DEVICE)
            said.append(Report("not subscribed", f"{denied}; next: {denied.next_step}"))
            self._denied.update(event.topics)
        if not self._sending.has_subscriptions:
            said += self._subscribed()
        return [*said, *self._send()]

    def _acknowledged(self, ticket: int) -> Sequence[Action]:
        """Tell the task whose publication arrived, and send what there is room for now."""
        found = self._sending.acknowledged(ticket)
        if found is None or found.task is None or not isinstance(found.order, Publish):
            return []
        self._counters.acknowledged(self._now - found.sent_at)
        return self._take(found.task, found.task.on_acknowledged(found.order))

    def _take(self, task: Task, orders: Sequence[Order]) -> Sequence[Action]:
        """Queue what ``task`` publishes; return all else, and what can be sent at once."""
        said: list[Action] = []
        for order in orders:
            if not isinstance(order, Publish):
                said.append(order)
            elif self._has_room_for(task):
                self._sending.add(order, task)
            else:
                self._dropped += 1
        return [*said, *self._send()]

    def _has_room_for(self, task: Task) -> bool:
        is_on = self._state in {State.SUBSCRIBING, State.OPERATING}
        return is_on and self._sending.waiting_for(task) < MOST_WAITING

    def _send(self) -> Sequence[Action]:
        if orders := self._sending.take(self._now):
            self._counters.publishes += sum(isinstance(order, Publish) for order in orders)
        return orders

    def _disconnected(self) -> Sequence[Report]:
        self._state = State.WAITING
        self._sending.clear()
        for task in self._tasks:
            task.on_disconnected()
        return self._dropped_since()

    def _dropped_since(self) -> Sequence[Report]:
        dropped, self._dropped = self._dropped, 0
        why = "tasks ordered them faster than AWS IoT acknowledged them, or while not connected"
        return [Report("publications dropped", f"{dropped}: {why}")] if dropped else []

    def _cause(self, event: ev.Event, now: float) -> FirstbootError:
        if not isinstance(event, ev.NotLetIn):
            return error_of(event, self.step, Credential.DEVICE)
        self._refusals += 1
        if self._refusals == 1:
            self._refused_since = now
        advice = (
            f"To see: aws iot list-thing-principals --thing-name {self._thing_name}, then aws iot "
            "describe-certificate. Set the certificate ACTIVE again, and the device reconnects by "
            "itself. If the certificate was deleted: device reset --forget-identity, then have "
            "the station make the device again."
        )
        next_step = in_order_of_likelihood(CAUSES[Credential.DEVICE], advice)
        if self._refusals < REFUSALS:
            return NOT_LET_IN.error(event.detail, credential=Credential.DEVICE, next_step=next_step)
        lasted = now - self._refused_since
        return IDENTITY_REFUSED.error(
            event.detail, refusals=self._refusals, seconds=lasted, next_step=next_step
        )
