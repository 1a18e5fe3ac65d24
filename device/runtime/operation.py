"""A proven device at work: keeps its connection, publishes telemetry, comes back after outages."""

import logging
from contextlib import suppress
from typing import Final, Protocol

import msgspec

from device.errors import FirstbootError
from device.errors.provisioning import StoppedError
from device.provisioning import events as ev
from device.provisioning.actions import Connect, Publish
from device.provisioning.events import Credential
from device.provisioning.failures import error_of
from device.runtime.backoff import Backoff
from device.runtime.clock import Clock
from device.runtime.session import Session, StopRequested, pause
from device.runtime.telemetry import Reading, Sensors
from device.settings import Settings

_log = logging.getLogger(__name__)


class Witness(Protocol):
    """Who wants to know what an operating device does."""

    def connected(self) -> None:
        """The device is connected under its own name."""
        ...

    def published(self, reading: Reading) -> None:
        """AWS IoT acknowledged ``reading``."""
        ...

    def waiting(self, cause: FirstbootError, seconds: float) -> None:
        """The device will connect again in ``seconds``, because of ``cause``."""
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
        self._sensors: Final = sensors
        self._witness: Final = witness

    def run(self, *, already_connected: bool) -> None:
        """Publish telemetry until a stop is requested; then disconnect and return."""
        connected = already_connected
        with suppress(StoppedError):
            while True:
                outcome = self._publish_until_lost() if connected else self._connect()
                connected = isinstance(outcome, ev.Connected)
                if not connected:
                    self._wait_out(outcome)
        self._session.close()

    def _connect(self) -> ev.Event:
        self._session.perform(Connect(Credential.DEVICE, self._thing_name))
        event = self._session.next_event(self._connection.connect_timeout)
        return ev.TimedOut() if event is None else event

    def _publish_until_lost(self) -> ev.Event:
        self._witness.connected()
        since = self._clock.monotonic()
        due, unacknowledged = since, None
        while True:
            event = self._session.next_event(max(0.0, due - self._clock.monotonic()))
            now = self._clock.monotonic()
            if now - since >= self._connection.retry.stable_after:
                self._backoff.reset()
            match event:
                case None if unacknowledged is None:
                    unacknowledged = self._publish()
                    due = now + self._connection.reply_timeout
                case None:
                    return ev.TimedOut()
                case ev.PublishAcknowledged() if unacknowledged is not None:
                    self._witness.published(unacknowledged)
                    due = now + self._interval
                    unacknowledged = None
                case ev.MessageReceived(topic):
                    _log.warning("ignored a message on %s", topic)
                case _:
                    return event

    def _publish(self) -> Reading:
        reading = self._sensors.read()
        self._session.perform(Publish(self._topic, msgspec.json.encode(reading)))
        return reading

    def _wait_out(self, event: ev.Event) -> None:
        if isinstance(event, StopRequested):
            raise StoppedError("stopped while operating")
        self._session.close()
        delay = self._backoff.next_delay()
        self._witness.waiting(error_of(event, "operating", Credential.DEVICE), delay)
        pause(self._session, self._clock, delay)
