"""A device that operates and renews its certificate when it is time, or when it is told to.

The renewal asks for the new certificate over the connection that operates, and proves it over a
second connection beside it. So the device works on until the new certificate is promoted. Then
it connects again with that one, and only after this the old one is retired. Whatever fails
before is tried again later; the device goes on with the certificate that it has.
"""

import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from msgspec import Struct

from device.errors import FirstbootError
from device.errors.renewal import RENEWAL_RUNNING
from device.operation.task import Report
from device.operation.work import CONNECT_PACING_SECONDS, Work
from device.provisioning import events as ev
from device.provisioning import renewal_events as re
from device.provisioning.actions import (
    Action,
    Connect,
    Disconnect,
    Fail,
    Promote,
    Publish,
    Request,
    Subscribe,
    WaitBeforeRetry,
)
from device.provisioning.events import Credential

MOST_WAITS: Final = 8
"""So many failures in a row end a renewal, until it is continued after a longer wait."""
SOONEST_LOOK: Final = 60.0
LATEST_LOOK: Final = 3_600.0
_PART_OF_WHAT_IS_LEFT: Final = 0.1


def seconds_to_look(left: float) -> float:
    """Return when to look at the wall clock again, if a renewal is due in ``left`` seconds.

    The wait is not ``left``: the wall clock may be set, and the monotonic clock of the waits does
    not count while the device is suspended. So the device looks each hour, and more often as the
    moment comes near: a certificate that is renewed after 40 minutes is looked at after 4. A
    suspend of more than a few minutes also costs the connection, and a device without one looks
    each `SOONEST_LOOK`.
    """
    return min(LATEST_LOOK, max(SOONEST_LOOK, _PART_OF_WHAT_IS_LEFT * left))


Ended = Callable[[FirstbootError | None], ev.Event | None]
"""Is told how a renewal that was ordered ended, None if it worked; returns a fact for the tasks."""


class RenewalAnswer(ev.Event, frozen=True):
    """What a message on the operating connection says about the renewal."""

    event: ev.Event


class Due(Struct, frozen=True):
    """Why a renewal is to begin now."""

    reason: str
    is_new_wanted: bool = True
    """Whether a new certificate is wanted, and not only what was begun is to be finished."""
    recovers: bool = False
    """Whether the current certificate is dead, so that the birth certificate has to ask."""


class BesideConnection(Protocol):
    """The second connection, for the new certificate."""

    @property
    def has_news(self) -> bool:
        """Whether `take` has something to return."""
        ...

    def perform(self, order: Action, /) -> None:
        """Begin ``order``; the outcome comes by `take`."""
        ...

    def take(self) -> ev.Event | None:
        """Return the oldest event that was not taken yet."""
        ...

    def close(self) -> None:
        """Close the connection, and drop what it still had to say."""
        ...


class Delays(Protocol):
    """How long to wait after each failure in a row, in seconds."""

    def next_delay(self) -> float:
        """Return the next wait."""
        ...

    def reset(self) -> None:
        """Begin again at the shortest wait."""
        ...


class RenewalOrders:
    """Where a task, such as the one for jobs, orders a renewal."""

    def __init__(self) -> None:
        """Begin without an order."""
        self.reason = ""
        """Why a renewal was ordered; empty if none was."""
        self._ended: Ended | None = None
        self.trial: Callable[[], Work] | None = None
        """What was ordered in the place of a renewal: to try something on the second connection."""
        self.is_running = False

    @property
    def is_waiting(self) -> bool:
        """Whether an order waits to be begun."""
        return bool(self.reason) and not self.is_running

    def order(
        self, reason: str, ended: Ended | None = None, trial: Callable[[], Work] | None = None
    ) -> None:
        """Have the certificate renewed now, whatever its age; ``ended`` is told how it ended.

        With ``trial``, its work is done instead: both need the second connection.

        Raises:
            RenewalRunningError: a renewal is running, or was ordered and has not begun yet.
        """
        if self.is_running or self.reason:
            raise RENEWAL_RUNNING.error()
        self.reason, self._ended, self.trial = reason, ended, trial

    def end(self, failure: FirstbootError | None) -> ev.Event | None:
        """Tell who ordered it how it ended; return what the tasks are to be told."""
        ended, self.reason, self._ended, self.trial = self._ended, "", None, None
        self.is_running = False
        return None if ended is None else ended(failure)


class Renewing(Work):
    """Runs ``operation``, and a renewal beside it when one is due."""

    def __init__(  # noqa: PLR0913 - one object per collaborator, all named at the one call
        self,
        operation: Work,
        *,
        new_renewal: Callable[[Callable[[], None], Due], Work],
        look: Callable[[], Due | float],
        orders: RenewalOrders,
        beside: BesideConnection,
        retries: Delays,
        failures: Delays,
    ) -> None:
        """Call ``new_renewal`` with what it is to call once the new certificate is promoted.

        It is also told why it is due: ``look`` returns this, or in how many seconds one will be
        due. ``retries`` are the waits of one renewal, ``failures`` those between two.
        """
        self._operation: Final = operation
        self._new_renewal: Final = new_renewal
        self._look: Final = look
        self._orders: Final = orders
        self._beside: Final = beside
        self._retries: Final = retries
        self._failures: Final = failures
        self._renewal: Work | None = None
        self._facts: Final[deque[ev.Event]] = deque()
        self._look_at = self._retry_at = -math.inf
        self._since = 0.0
        self._resume_at = math.inf
        self._hands_over = False
        self._is_promoting = False
        """Whether a promotion was begun: if it fails, nobody knows which certificate counts."""
        self._waits = 0
        self._held: Connect | None = None
        """An order that waits for `_connect_at`."""
        self._connect_at = -math.inf
        """From when the second connection may be made again."""
        self._asks_on_main = False
        """Whether the renewal's orders go to the connection that operates."""
        self._asked: frozenset[str] = frozenset()

    # --- the operation ------------------------------------------------------------------------

    @property
    def step(self) -> str:
        """What the operation is busy with."""
        return self._operation.step

    @property
    def timeout(self) -> float | None:
        """Seconds that the operation's step may take."""
        return self._operation.timeout

    @property
    def overdue_at(self) -> float:
        """When the operation has waited long enough for an acknowledgement."""
        return self._operation.overdue_at

    @property
    def is_routine(self) -> bool:
        """Whether the operation may go long without a message."""
        return self._operation.is_routine

    def begin(self) -> ev.Event:
        """Return the operation's first fact."""
        return self._operation.begin()

    def resume(self) -> ev.Event:
        """Return the operation's fact after a wait."""
        return self._operation.resume()

    def reply_in(self, message: ev.MessageReceived) -> ev.Event | None:
        """Return what ``message`` means to the renewal, or to the operation."""
        if self._renewal is not None and self._asks_on_main:
            answer = self._renewal.reply_in(message)
            if answer is not None:
                return RenewalAnswer(answer)
        return self._operation.reply_in(message)

    def carry_out(self, order: Action) -> ev.Event | None:
        """Carry out an order of the operation."""
        return self._operation.carry_out(order)

    def on_stopped(self) -> Sequence[Report]:
        """Say what a stop leaves undone; the next start continues a renewal that was begun."""
        self._beside.close()
        return self._operation.on_stopped()

    def receive(self, event: ev.Event, now: float) -> Sequence[Action]:
        """Return what follows from ``event`` of the operating connection."""
        if self._asks_on_main and self._is_about_the_renewal(event):
            answer = event.event if isinstance(event, RenewalAnswer) else event
            return self._feed(answer, now)
        orders = self._operation.receive(event, now)
        if not self._is_operating:
            self._look_at = min(self._look_at, now + SOONEST_LOOK)
        if self._asks_on_main and not self._is_operating:
            self._asks_on_main = False
            lost = ev.ConnectionLost("the operating connection ended")
            return [*self._feed(lost, now), *orders]
        if self._hands_over and isinstance(event, ev.Connected):
            self._hands_over = False
            return [*orders, *self._feed(re.HandedOver(), now)]
        return orders

    @property
    def _is_operating(self) -> bool:
        return self._operation.is_routine

    def _is_about_the_renewal(self, event: ev.Event) -> bool:
        """Tell whose ``event`` it is: a device that operates has made its own subscriptions."""
        match event:
            case RenewalAnswer() | ev.Subscribed() | ev.SubscriptionDenied():
                return True
            case ev.PublishDenied(topic):
                return topic in self._asked
        return False

    # --- the renewal --------------------------------------------------------------------------

    def next_due(self) -> float:
        """Return when the operation or the renewal has something to do."""
        return min(self._operation.next_due(), self._renewal_due())

    def on_due(self, now: float) -> Sequence[Action]:
        """Do what is due, of the operation first."""
        orders = [*self._operation.on_due(now)]
        if self._renewal_due() <= now:
            orders += self._do_what_is_due(now)
        return orders

    def _renewal_due(self) -> float:
        if self._renewal is None:
            return -math.inf if self._orders.is_waiting else max(self._look_at, self._retry_at)
        if self._held is not None:
            return self._connect_at
        if self._beside.has_news:
            return -math.inf
        if self._resume_at < math.inf:
            return self._resume_at
        timeout = self._renewal.timeout
        return math.inf if timeout is None else self._since + timeout

    def _do_what_is_due(self, now: float) -> Sequence[Action]:
        if self._renewal is None:
            return self._begin_if_due(now)
        if self._held is not None:
            self._connect_beside(self._held, now)
            return []
        if (event := self._beside.take()) is not None:
            if self._resume_at < math.inf:
                return []  # what is left of a connection that was given up
            if isinstance(event, ev.MessageReceived):
                answer = self._renewal.reply_in(event)
                return [] if answer is None else self._feed(answer, now)
            return self._feed(event, now)
        if now >= self._resume_at:
            self._resume_at = math.inf
            return self._feed(self._renewal.resume(), now)
        return self._feed(ev.TimedOut(), now)

    def _begin_if_due(self, now: float) -> Sequence[Action]:
        due = Due(self._orders.reason) if self._orders.is_waiting else self._look()
        if not isinstance(due, Due):
            self._look_at = now + seconds_to_look(due)
            return []
        self._look_at = now + SOONEST_LOOK
        self._orders.is_running = True
        self._retries.reset()
        self._waits = 0
        try:
            self._renewal = self._new_work(due)
            first = self._renewal.begin()
        except FirstbootError as failure:
            return self._end(failure, now)
        name = "recovery begun" if due.recovers else f"{self._what} begun"
        return [Report(name, due.reason), *self._feed(first, now)]

    def _new_work(self, due: Due) -> Work:
        if self._orders.trial is not None:
            return self._orders.trial()
        return self._new_renewal(self._hand_over, due)

    @property
    def _what(self) -> str:
        return "renewal" if self._orders.trial is None else "trial"

    def _hand_over(self) -> None:
        self._hands_over = True

    def _feed(self, event: ev.Event, now: float) -> Sequence[Action]:
        """Give the renewal ``event`` and what follows from it; return what the loop is to do."""
        said: list[Action] = []
        self._facts.append(event)
        self._since = now
        try:
            while self._renewal is not None and self._facts:
                for order in self._renewal.receive(self._facts.popleft(), now):
                    said += self._perform(self._renewal, order, now)
            if self._renewal is not None and self._renewal.finished:
                said += self._end(None, now)
        except FirstbootError as failure:
            said += self._end(failure, now)
        return said

    def _perform(self, renewal: Work, order: Action, now: float) -> Sequence[Action]:
        match order:
            case Connect(Credential.DEVICE):
                self._facts.append(self._use_operating_connection())
            case Disconnect() if self._asks_on_main:
                self._asks_on_main = False
                self._facts.append(ev.Disconnected())
            case Subscribe() | Request() | Publish() if self._asks_on_main:
                if not isinstance(order, Subscribe):
                    self._asked |= {order.topic}
                return [order]
            case Connect():
                self._asks_on_main = False
                self._connect_beside(order, now)
            case Subscribe() | Request() | Publish() | Disconnect():
                self._asks_on_main = False
                self._beside.perform(order)
            case WaitBeforeRetry(cause):
                return self._wait(cause, now)
            case Fail(cause):
                raise cause
            case Report():
                return [order]
            case _:
                self._is_promoting = isinstance(order, Promote)
                fact = renewal.carry_out(order)
                self._is_promoting = False
                self._facts.extend([fact] if fact is not None else [])
                if isinstance(order, re.HandOver):
                    return self._connect_again(now)
        return []

    def _connect_beside(self, order: Connect, now: float) -> None:
        """Make the second connection, or hold the order until a second has passed."""
        if now < self._connect_at:
            self._beside.close()
            self._held = order
            return
        self._held, self._since = None, now
        self._connect_at = now + CONNECT_PACING_SECONDS
        self._beside.perform(order)

    def _use_operating_connection(self) -> ev.Event:
        self._beside.close()
        self._asks_on_main = self._is_operating
        if self._asks_on_main:
            return ev.Connected(Credential.DEVICE)
        return ev.ConnectFailed("the device is not connected")

    def _wait(self, cause: FirstbootError, now: float) -> Sequence[Report]:
        self._stop_asking()
        self._waits += 1
        if self._waits > MOST_WAITS:
            raise cause
        seconds = self._retries.next_delay()
        self._resume_at = now + seconds
        words = f"{cause}; it is tried again in {seconds:.0f} s"
        return [Report("renewal waits", f"{words}; next: {cause.next_step}")]

    def _stop_asking(self) -> None:
        self._beside.close()
        self._held, self._asks_on_main, self._asked = None, False, frozenset()

    def _connect_again(self, now: float) -> Sequence[Action]:
        """Have the operation connect with the new certificate; it publishes again what it must."""
        changing = ev.ConnectionLost("the device changes to its new certificate")
        left = self._operation.receive(changing, now)
        said = [order for order in left if not isinstance(order, WaitBeforeRetry)]
        return [*said, *self._operation.receive(self._operation.resume(), now)]

    def _end(self, failure: FirstbootError | None, now: float) -> Sequence[Action]:
        self._stop_asking()
        self._facts.clear()
        self._renewal, self._resume_at = None, math.inf
        is_trial = self._orders.trial is not None
        fact = self._orders.end(failure)
        told = [] if fact is None else self._operation.receive(fact, now)
        if is_trial:
            detail = "it worked" if failure is None else f"{failure}; next: {failure.next_step}"
            return [Report("trial ended", detail), *told]
        if failure is None:
            self._failures.reset()
            words = "the old certificate is retired, and its key destroyed"
            return [Report("renewed", words), *told]
        seconds = self._failures.next_delay()
        self._look_at = self._retry_at = now + seconds
        words = f"{failure}; the device keeps its certificate and tries again in {seconds:.0f} s"
        report = Report("renewal failed", f"{words}; next: {failure.next_step}")
        return [report, *told, *self._connect_if_promoting(now)]

    def _connect_if_promoting(self, now: float) -> Sequence[Action]:
        """Connect with what the storage has, since the new certificate may be in it already.

        Whoever still spoke with the old one would ask the cloud to retire the old one by itself.
        """
        was_promoting, self._is_promoting = self._is_promoting, False
        return self._connect_again(now) if was_promoting and self._is_operating else []
