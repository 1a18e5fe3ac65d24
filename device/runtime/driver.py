"""Drives a machine: event -> machine -> actions -> session and enrolment -> event.

The driver owns the waiting. A retry starts from what is stored, exactly as a boot after a
power cut does, so the two cannot differ.
"""

import logging
from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from device.errors import ExitCode, FirstbootError
from device.errors.provisioning import (
    CertificateUnacceptableError,
    NotActivatedYetError,
    UnexpectedEventError,
)
from device.provisioning import actions as act
from device.provisioning import events as ev
from device.provisioning.machine import AnyMachine
from device.runtime.backoff import Backoff
from device.runtime.clock import Clock
from device.runtime.enrolment import Enrolment
from device.runtime.listener import Listener
from device.runtime.session import Session, pause
from device.text import LONGEST, foreign, hide

_log = logging.getLogger(__name__)

_WITH_TOKEN: Final = (ev.CertificateIssued, ev.StagedCertificateFound, ev.RegistrationFound)
CONNECT_PACING_SECONDS: Final = 1.0  # AWS IoT quotas: one CONNECT a second per client id


class Observer(Protocol):
    """Who wants to know how it goes: a timeline, a log, a test."""

    def received(self, event: ev.Event, state: Enum) -> None:
        """``event`` came and led to ``state``."""
        ...

    def waiting(self, cause: FirstbootError, seconds: float) -> None:
        """The device will try again in ``seconds``, because of ``cause``."""
        ...

    def slow(self, what: str, seconds: float) -> None:
        """``what`` takes over a second, and may take ``seconds`` more."""
        ...


@dataclass(frozen=True)
class Patience:
    """After how many seconds of trying the driver gives up; None is never."""

    unreachable: float | None = None
    refused: float | None = None
    activation: float | None = None
    """For the refusals that a just-in-time method begins with."""

    def limit(self, cause: FirstbootError) -> float | None:
        """Return the limit that applies to ``cause``."""
        if isinstance(cause, NotActivatedYetError):
            return self.activation
        return self.refused if cause.exit_code is ExitCode.DENIED else self.unreachable


class Driver:
    """Runs one machine until it is finished."""

    def __init__(  # noqa: PLR0913 - one object per collaborator, all named at the one call
        self,
        machine: AnyMachine,
        *,
        session: Session,
        enrolment: Enrolment,
        clock: Clock,
        backoff: Backoff,
        patience: Patience,
        observer: Observer,
    ) -> None:
        """Nothing happens before `run`."""
        self._machine: Final = machine
        self._session: Final = session
        self._enrolment: Final = enrolment
        self._clock: Final = clock
        self._backoff: Final = backoff
        self._patience: Final = patience
        self._observer: Final = observer
        self._facts: Final[deque[ev.Event]] = deque()
        self._listener: Final = Listener(session, clock, observer.slow)
        self._last_connect: Final[dict[str, float]] = {}

    def run(self) -> None:
        """Bring the device from what is stored to a proven identity.

        On return the connection made with the new identity is still open.

        Raises:
            FirstbootError: it stopped; the error says at which step, why, and what next.
        """
        self._started = self._clock.monotonic()
        self._facts.append(self._enrolment.stored())
        try:
            while not self._machine.finished:
                self._receive(self._next_fact())
        finally:
            self._listener.say_ignored()

    def _next_fact(self) -> ev.Event:
        if self._facts:
            return self._facts.popleft()
        machine = self._machine
        return self._listener.next_event(machine.state.value, machine.timeout, machine.reply_in)

    def _receive(self, event: ev.Event) -> None:
        if isinstance(event, _WITH_TOKEN):
            hide(event.ownership_token, getattr(event, "private_key_pem", None) or "")
        try:
            orders = self._machine.receive(event)
        except UnexpectedEventError:
            self._session.close()
            raise
        _log.debug("%s -> %s", type(event).__name__, self._machine.state.name)
        self._observer.received(event, self._machine.state)
        for order in orders:
            self._perform(order)

    def _perform(self, order: act.Action) -> None:
        match order:
            case act.GenerateKey():
                self._facts.append(ev.KeyGenerated(self._enrolment.generate_key()))
            case act.StageCertificate():
                self._facts.append(self._stage(order))
            case act.RecordRefusal():
                self._enrolment.record_refusal()
            case act.GiveUpStagedCertificate():
                self._enrolment.give_up_staged()
            case act.RecordRegistration(thing_name, configuration):
                self._enrolment.record_registration(thing_name, configuration)
            case act.Promote(thing_name):
                destroyed = self._enrolment.promote(thing_name)
                self._facts.append(ev.IdentityPromoted(destroyed))
            case act.WaitBeforeRetry(cause):
                self._wait_before_retry(cause)
            case act.Fail(cause):
                self._session.close()
                raise cause
            case act.Connect(_, client_id):
                self._pace(client_id)
                self._session.perform(order)
            case _:
                self._session.perform(order)

    def _stage(self, order: act.StageCertificate) -> ev.Event:
        try:
            return self._enrolment.stage(order)
        except CertificateUnacceptableError as error:
            return ev.CertificateUnacceptable(foreign(str(error), 2 * LONGEST))

    def _wait_before_retry(self, cause: FirstbootError) -> None:
        self._session.close()
        delay = self._backoff.next_delay()
        limit = self._patience.limit(cause)
        spent = self._clock.monotonic() - self._started
        if limit is not None and spent + delay > limit:
            raise cause
        self._observer.waiting(cause, delay)
        pause(self._session, self._clock, delay)
        self._facts.append(self._enrolment.stored())

    def _pace(self, client_id: str) -> None:
        last = self._last_connect.get(client_id)
        if last is not None:
            left = last + CONNECT_PACING_SECONDS - self._clock.monotonic()
            pause(self._session, self._clock, left)
        self._last_connect[client_id] = self._clock.monotonic()
