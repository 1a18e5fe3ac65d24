"""Provisioning as work for the loop: a machine, and the storage that carries out its orders.

A retry starts from what is stored, exactly as a boot after a power cut does, so the two cannot
differ.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Final

from device.errors.provisioning import CertificateUnacceptableError
from device.errors.text import LONGEST, foreign, hide
from device.operation.work import Work
from device.provisioning import actions as act
from device.provisioning import events as ev
from device.provisioning.machine import AnyMachine
from device.runtime.enrolment import Enrolment
from device.runtime.loop import Observer

_log = logging.getLogger(__name__)

_WITH_TOKEN: Final = (ev.CertificateIssued, ev.StagedCertificateFound, ev.RegistrationFound)


class FirstBoot(Work):
    """Brings a device from what is stored to a proven identity."""

    def __init__(
        self,
        new_machine: Callable[[], AnyMachine],
        enrolment: Enrolment,
        observer: Observer,
    ) -> None:
        """Ask for a new machine at the beginning, and after each failure that ended one."""
        self._new_machine: Final = new_machine
        self._machine = new_machine()
        self._enrolment: Final = enrolment
        self._observer: Final = observer

    @property
    def finished(self) -> bool:
        """Whether the identity is proven; the connection made with it is still open."""
        return self._machine.finished

    @property
    def step(self) -> str:
        """What the device waits for, in words."""
        return str(self._machine.state.value)

    @property
    def timeout(self) -> float | None:
        """Seconds that this step may take."""
        return self._machine.timeout

    def begin(self) -> ev.Event:
        """Return what is stored, for a new machine."""
        self._machine = self._new_machine()
        return self._enrolment.stored()

    def resume(self) -> ev.Event:
        """Return what is stored, for the machine that asked to wait."""
        return self._enrolment.stored()

    def reply_in(self, message: ev.MessageReceived) -> ev.Event | None:
        """Return what ``message`` answers to the request in flight."""
        return self._machine.reply_in(message)

    def receive(self, event: ev.Event, _: float) -> Sequence[act.Action]:
        """Return what follows from ``event``.

        Raises:
            UnexpectedEventError: it cannot happen in this state.
        """
        if isinstance(event, _WITH_TOKEN):
            hide(event.ownership_token, getattr(event, "private_key_pem", None) or "")
        orders = self._machine.receive(event)
        _log.debug("%s -> %s", type(event).__name__, self._machine.state.name)
        self._observer.received(event, self._machine.state)
        return orders

    def carry_out(self, order: act.Action) -> ev.Event | None:
        """Do what ``order`` says with key and storage; return the outcome, if one is awaited."""
        match order:
            case act.GenerateKey():
                return ev.KeyGenerated(self._enrolment.generate_key())
            case act.StageCertificate():
                return self._stage(order)
            case act.Promote(thing_name):
                return ev.IdentityPromoted(self._enrolment.promote(thing_name))
            case act.RecordRefusal():
                self._enrolment.record_refusal()
            case act.GiveUpStagedCertificate():
                self._enrolment.give_up_staged()
            case act.RecordRegistration(thing_name, configuration):
                self._enrolment.record_registration(thing_name, configuration)
            case _:
                return super().carry_out(order)
        return None

    def _stage(self, order: act.StageCertificate) -> ev.Event:
        try:
            return self._enrolment.stage(order)
        except CertificateUnacceptableError as error:
            return ev.CertificateUnacceptable(foreign(str(error), 2 * LONGEST))
