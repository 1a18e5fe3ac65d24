"""The event loop of the device: provisioning runs in it, and operation after that.

The loop alone hears a stop, keeps deadlines, waits, paces connections and gives systemd a sign
of life. A deadline is looked at before each read, so a flood of messages suspends no time-out. A
message that nobody waits for is counted, not repeated. How long the device tries is a policy,
`Patience`, and not another loop.
"""

import logging
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from enum import Enum
from typing import Final, Protocol

from msgspec import Struct

from device.connection.session import Session, StopRequested
from device.errors import ExitCode, FirstbootError, StoppedError
from device.errors.provisioning import (
    NOT_ACTIVATED_YET,
    TAKEN_OVER,
    ProvisioningError,
)
from device.errors.text import foreign
from device.operation.task import FromWithin, Report
from device.operation.work import CONNECT_PACING_SECONDS, Work
from device.provisioning import actions as act
from device.provisioning import events as ev
from device.provisioning.events import Credential
from device.runtime.backoff import Backoff
from device.runtime.clock import Clock
from device.runtime.notify import ServiceManager

_log = logging.getLogger(__name__)

SLOW_SECONDS: Final = 1.0
"""What takes longer is told: what the device waits for, and how long at most."""
CALM_SECONDS: Final = 3600.0
"""After so long without another client under the same name, the quarrel is over."""
_SAY_AGAIN_SECONDS: Final = 60.0


class Observer(Protocol):
    """Receives the progress of the device: a timeline, a log, a test."""

    def received(self, event: ev.Event, state: Enum) -> None:
        """``event`` came and led a provisioning machine to ``state``."""
        ...

    def add(self, name: str, detail: str = "") -> None:
        """``name`` happened, at work."""
        ...

    def waiting(self, cause: FirstbootError, seconds: float) -> None:
        """The device will try again in ``seconds``, because of ``cause``."""
        ...

    def slow(self, what: str, seconds: float) -> None:
        """``what`` takes over a second, and may take ``seconds`` more."""
        ...


class Patience(Struct, frozen=True):
    """After how many seconds of trying the loop gives up; None is never."""

    unreachable: float | None = None
    refused: float | None = None
    activation: float | None = None
    """For the refusals that a just-in-time method begins with."""
    again_after: float | None = None
    """Seconds to wait, on average, before starting again after a failure; None ends the work."""

    def limit(self, cause: FirstbootError) -> float | None:
        """Return the limit that applies to ``cause``."""
        if cause.row is NOT_ACTIVATED_YET:
            return self.activation
        return self.refused if cause.exit_code is ExitCode.DENIED else self.unreachable

    def pause_after(self, failure: FirstbootError) -> float | None:
        """Return the seconds to wait before starting again, or None if that cannot help."""
        is_lost_cause = failure.exit_code is ExitCode.CONFIGURATION_INVALID
        if is_lost_cause or not isinstance(failure, ProvisioningError):
            return None
        return self.again_after


class Loop:
    """Runs one work after another over one session."""

    def __init__(  # noqa: PLR0913 - one object per collaborator, all named at the one call
        self,
        session: Session,
        *,
        clock: Clock,
        backoff: Backoff,
        stable_after: float,
        observer: Observer,
        service: ServiceManager,
    ) -> None:
        """Forget earlier failures once a connection lasted ``stable_after`` seconds."""
        self._session: Final = session
        self._clock: Final = clock
        self._backoff: Final = backoff
        self._quarrel: Final = replace(backoff, attempts=0)
        self._stable_after: Final = stable_after
        self._observer: Final = observer
        self._service: Final = service
        self._facts: Final[deque[ev.Event]] = deque()
        self._last_connect: Final[dict[str, float]] = {}
        self._connected_at = math.inf
        self._taken_over_at = -math.inf
        self._since = self._started = 0.0
        self._step = ""
        """What the work is busy with, as was told last."""
        self._is_slow_told = False
        self._ignored = 0
        self._said_ignored_at: float | None = None

    def run(self, work: Work, patience: Patience) -> None:
        """Run ``work`` until it is finished; the connection then is still open.

        Raises:
            FirstbootError: it stopped; the error says at which step, why, and what next.
        """
        try:
            while not self._is_done(work, patience):
                pass
        except StoppedError:
            self._service.stopping()
            self._perform(work, patience, work.on_stopped())
            raise
        finally:
            self._say_ignored()
        self._service.ready()

    def pause(self, what: str, seconds: float) -> None:
        """Wait before any work begins.

        Raises:
            StoppedError: someone asked to stop.
        """
        if seconds >= SLOW_SECONDS:
            self._observer.slow(what, seconds)
        self._service.status(what)
        until = self._clock.monotonic() + seconds
        while self._clock.monotonic() < until:
            self._read(what, until)

    def _is_done(self, work: Work, patience: Patience) -> bool:
        """Run ``work`` from its beginning; return False if it failed and must start again."""
        try:
            self._begin(work)
            while not work.finished:
                self._turn(work, patience)
        except FirstbootError as failure:
            self._session.close()
            pause = patience.pause_after(failure)
            if pause is None:
                raise
            self._wait(work, failure, pause / 2 + self._backoff.dice.uniform(0.0, pause))
            return False
        return True

    def _begin(self, work: Work) -> None:
        self._backoff.reset()
        self._started = self._clock.monotonic()
        self._facts.clear()
        self._facts.append(work.begin())
        self._enter(work.step)

    def _turn(self, work: Work, patience: Patience) -> None:
        event = self._facts.popleft() if self._facts else self._next_event(work)
        now = self._clock.monotonic()
        if isinstance(event, ev.Connected) and event.credential is Credential.DEVICE:
            self._connected_at = now
            self._service.ready()
        self._perform(work, patience, work.receive(event, now))
        self._note_step(work)

    def _note_step(self, work: Work) -> None:
        if (step := work.step) != self._step:
            self._enter(step)

    def _enter(self, step: str) -> None:
        self._step = step
        self._mark()
        self._service.status(step)

    def _mark(self) -> None:
        """Count time-outs from now."""
        self._since, self._is_slow_told = self._clock.monotonic(), False

    def _perform(self, work: Work, patience: Patience, orders: Sequence[act.Action]) -> None:
        for order in orders:
            match order:
                case act.Connect():
                    self._connect(work, order)
                case act.Subscribe() | act.Request() | act.Publish() | act.Disconnect():
                    self._session.perform(order)
                    self._mark()
                case act.WaitBeforeRetry(cause):
                    self._wait_before_retry(work, patience, cause)
                case act.Fail(cause):
                    raise cause
                case Report(name, detail):
                    self._observer.add(name, detail)
                case _:
                    fact = work.carry_out(order)
                    self._facts.extend([fact] if fact is not None else [])

    def _connect(self, work: Work, order: act.Connect) -> None:
        last = self._last_connect.get(order.client_id, -math.inf)
        self._wait_until(work, last + CONNECT_PACING_SECONDS)
        self._last_connect[order.client_id] = self._clock.monotonic()
        self._session.perform(order)
        self._mark()

    # --- reading ------------------------------------------------------------------------------

    def _next_event(self, work: Work) -> ev.Event:
        """Return the next event that means something to ``work``."""
        while True:
            due = self._do_what_is_due(work)
            if self._facts:
                return self._facts.popleft()
            now = self._clock.monotonic()
            timeout = work.timeout
            deadline = math.inf if timeout is None else self._since + timeout
            deadline = min(deadline, work.overdue_at)
            if now >= deadline:
                return ev.TimedOut()
            event = self._read(self._step, deadline, self._slow_at(work, deadline), due)
            if isinstance(event, ev.MessageReceived):
                event = self._understood(work, event)
            if event is not None:
                return event

    def _slow_at(self, work: Work, deadline: float) -> float:
        """Return when to tell that the step takes long; tell it if that is now."""
        if self._is_slow_told or work.is_routine:
            return math.inf
        slow_at, now = self._since + SLOW_SECONDS, self._clock.monotonic()
        if now < slow_at:
            return slow_at
        self._is_slow_told = True
        self._observer.slow(work.step, 0.0 if deadline == math.inf else deadline - now)
        return math.inf

    def _do_what_is_due(self, work: Work) -> float:
        """Do what is due now, and return when something is due next."""
        now, due = self._clock.monotonic(), work.next_due()
        if now < due:
            return due
        self._perform(work, Patience(), work.on_due(now))
        self._note_step(work)
        return work.next_due()

    def _read(self, what: str, *moments: float) -> ev.Event | None:
        """Return the next event, or None at the first of ``moments`` or when a sign of life is due.

        Raises:
            StoppedError: someone asked to stop.
        """
        now = self._clock.monotonic()
        self._service.alive(now)
        until = min(*moments, now + (self._service.ping_interval or math.inf))
        event = self._session.next_event(None if until == math.inf else max(0.0, until - now))
        if isinstance(event, StopRequested):
            raise StoppedError(f"stopped while {what}")
        return event

    def _understood(self, work: Work, message: ev.MessageReceived) -> ev.Event | None:
        event = work.reply_in(message)
        if event is None:
            self._ignore(message)
        return event

    def _ignore(self, message: ev.MessageReceived) -> None:
        now = self._clock.monotonic()
        if self._said_ignored_at is None:
            _log.warning("ignored an unexpected message on %s", foreign(message.topic))
            self._said_ignored_at = now
            return
        self._ignored += 1
        if now - self._said_ignored_at >= _SAY_AGAIN_SECONDS:
            self._say_ignored()
            self._said_ignored_at = now

    def _say_ignored(self) -> None:
        if self._ignored:
            _log.warning("ignored %d more messages that the device does not expect", self._ignored)
        self._ignored = 0

    # --- waiting ------------------------------------------------------------------------------

    def _wait_before_retry(self, work: Work, patience: Patience, cause: FirstbootError) -> None:
        self._session.close()
        delay = self._delay(cause)
        limit = patience.limit(cause)
        spent = self._clock.monotonic() - self._started
        if limit is not None and spent + delay > limit:
            raise cause
        self._wait(work, cause, delay)
        self._facts.append(work.resume())

    def _delay(self, cause: FirstbootError) -> float:
        """Wait longer after each takeover, or two clients with one name would never settle."""
        now = self._clock.monotonic()
        if now - self._connected_at >= self._stable_after:
            self._backoff.reset()
        self._connected_at = math.inf
        delay = self._backoff.next_delay()
        if cause.row is not TAKEN_OVER:
            return delay
        if now - self._taken_over_at > CALM_SECONDS:
            self._quarrel.reset()
        self._taken_over_at = now
        return max(delay, self._quarrel.next_delay())

    def _wait(self, work: Work, cause: FirstbootError, seconds: float) -> None:
        self._observer.waiting(cause, seconds)
        self._service.status(
            f"waiting {seconds:.0f} s, because of {cause.code}: {foreign(str(cause))}"
        )
        self._wait_until(work, self._clock.monotonic() + seconds)

    def _wait_until(self, work: Work, moment: float) -> None:
        """Let time pass: ignore messages, and do what is due."""
        while self._clock.monotonic() < moment:
            due = self._do_what_is_due(work)
            event = self._read("waiting", moment, due)
            if isinstance(event, ev.MessageReceived):
                self._ignore(event)
            elif isinstance(event, FromWithin):
                self._perform(work, Patience(), work.receive(event, self._clock.monotonic()))
