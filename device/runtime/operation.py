"""A proven device at work: keeps its connection, publishes telemetry, comes back after outages.

Readings go by schedule, connected or not; what AWS IoT did not acknowledge is published again.
"""

import math
from contextlib import suppress
from dataclasses import replace
from typing import Final, Protocol

import msgspec

from device.config.settings import Settings
from device.errors import FirstbootError
from device.errors.provisioning import IdentityRefusedError, NotLetInError, StoppedError
from device.provisioning import events as ev
from device.provisioning.actions import Connect, Publish
from device.provisioning.events import Credential
from device.provisioning.failures import CAUSES, error_of
from device.runtime.backoff import Backoff
from device.runtime.clock import Clock
from device.runtime.listener import Listener
from device.runtime.outbox import Loss, Outbox
from device.runtime.session import Session
from device.runtime.telemetry import Reading, Sensors

CALM_SECONDS: Final = 3600.0
"""After so long without another client under the same name, the quarrel is over."""
REFUSALS: Final = 3
"""So many refusals in a row are no accident: the cloud refuses this identity."""
_FAILURES: Final = (
    ev.NotLetIn,
    ev.ConnectFailed,
    ev.ConnectionLost,
    ev.PublishDenied,
    ev.NotAcknowledged,
)


class Witness(Protocol):
    """Who wants to know what an operating device does."""

    def connected(self) -> None:
        """The device is connected under its own name."""
        ...

    def published(self, reading: Reading) -> None:
        """AWS IoT acknowledged ``reading``."""
        ...

    def dropped(self, loss: Loss, why: str) -> None:
        """Readings will never arrive."""
        ...

    def waiting(self, cause: FirstbootError, seconds: float) -> None:
        """The device will connect again in ``seconds``, because of ``cause``."""
        ...

    def slow(self, what: str, seconds: float) -> None:
        """``what`` takes over a second, and may take ``seconds`` more."""
        ...


class Operation:
    """Runs until somebody asks it to stop."""

    def __init__(  # noqa: PLR0913 - one object per collaborator, all named at the one call
        self,
        thing_name: str,
        settings: Settings,
        *,
        topic: str,
        session: Session,
        clock: Clock,
        backoff: Backoff,
        sensors: Sensors,
        witness: Witness,
    ) -> None:
        """Work as ``thing_name``, publishing on ``topic``; nothing happens before `run`."""
        self._thing_name: Final = thing_name
        self._topic: Final = topic
        self._interval: Final = settings.telemetry.interval
        self._connection: Final = settings.connection
        self._session: Final = session
        self._clock: Final = clock
        self._backoff: Final = backoff
        self._quarrel: Final = replace(backoff, attempts=0)
        self._taken_over_at = -math.inf
        self._refusals, self._refused_since = 0, 0.0
        self._sensors: Final = sensors
        self._due = clock.monotonic()
        self._outbox: Final = Outbox()
        self._acknowledged_by = math.inf
        self._listener: Final = Listener(session, clock, witness.slow)
        self._witness: Final = witness

    def run(self, *, already_connected: bool) -> None:
        """Publish telemetry until a stop is requested; then disconnect and return."""
        connected = already_connected
        with suppress(StoppedError):
            while True:
                outcome = self._work() if connected else self._connect()
                connected = isinstance(outcome, ev.Connected)
                if not connected:
                    self._wait_out(outcome)
        self._session.close()
        self._listener.say_ignored()
        self._tell_loss(self._outbox.give_up(), "stopped before AWS IoT acknowledged them")

    def _connect(self) -> ev.Event:
        self._session.perform(Connect(Credential.DEVICE, self._thing_name))
        until = self._clock.monotonic() + self._connection.connect_timeout
        while True:
            left = until - self._clock.monotonic()
            event = self._listener.next_event("connecting", left)
            if isinstance(event, (ev.Connected, ev.TimedOut, *_FAILURES)):
                return event

    def _work(self) -> ev.Event:
        self._witness.connected()
        self._refusals = 0
        self._tell_loss(self._outbox.take_loss(), "there was no room for more")
        since = self._clock.monotonic()
        while True:
            self._measure_if_due()
            self._publish_next()
            until = min(self._due, self._acknowledged_by)
            left = until - self._clock.monotonic()
            event = self._listener.next_event("operating", left, tell=False)
            if self._clock.monotonic() - since >= self._connection.retry.stable_after:
                self._backoff.reset()
            if isinstance(event, ev.PublishAcknowledged):
                self._note_arrival()
            elif isinstance(event, _FAILURES) or self._is_overdue():
                return event

    def _measure_if_due(self) -> None:
        now = self._clock.monotonic()
        if now >= self._due:
            self._outbox.add(self._sensors.read())
            self._due = now + self._interval

    def _publish_next(self) -> None:
        reading = self._outbox.take()
        if reading is not None:
            self._session.perform(Publish(self._topic, msgspec.json.encode(reading)))
            self._acknowledged_by = self._clock.monotonic() + self._connection.reply_timeout

    def _note_arrival(self) -> None:
        self._acknowledged_by = math.inf
        if (reading := self._outbox.acknowledge()) is not None:
            self._witness.published(reading)

    def _is_overdue(self) -> bool:
        return self._clock.monotonic() >= self._acknowledged_by

    def _wait_out(self, event: ev.Event) -> None:
        self._session.close()
        self._outbox.connection_lost()
        self._acknowledged_by = math.inf
        cause, delay = self._cause(event), self._delay(event)
        self._witness.waiting(cause, delay)
        until = self._clock.monotonic() + delay
        while (now := self._clock.monotonic()) < until:
            self._measure_if_due()
            self._listener.next_event("waiting", min(until, self._due) - now, tell=False)

    def _delay(self, event: ev.Event) -> float:
        """Whoever is thrown out comes back ever later: two clients of one name never settle it."""
        delay = self._backoff.next_delay()
        if not (isinstance(event, ev.ConnectionLost) and event.taken_over):
            return delay
        now = self._clock.monotonic()
        if now - self._taken_over_at > CALM_SECONDS:
            self._quarrel.reset()
        self._taken_over_at = now
        return max(delay, self._quarrel.next_delay())

    def _cause(self, event: ev.Event) -> FirstbootError:
        if not isinstance(event, ev.NotLetIn):
            return error_of(event, "operating", Credential.DEVICE)
        now = self._clock.monotonic()
        self._refusals += 1
        if self._refusals == 1:
            self._refused_since = now
        advice = (
            f"To see: aws iot list-thing-principals --thing-name {self._thing_name}, then aws iot "
            "describe-certificate. Set the certificate ACTIVE again, and the device reconnects by "
            "itself. If the certificate was deleted: device reset --forget-identity, then have "
            "the station make the device again."
        )
        causes = CAUSES[Credential.DEVICE]
        if self._refusals < REFUSALS:
            return NotLetInError(Credential.DEVICE, event.detail, causes, advice)
        lasted = now - self._refused_since
        return IdentityRefusedError(event.detail, causes, advice, self._refusals, lasted)

    def _tell_loss(self, loss: Loss | None, why: str) -> None:
        if loss is not None:
            self._witness.dropped(loss, why)
