"""A renewal as work for the loop: the machine, and the storage that carries out its orders."""

from collections.abc import Callable
from typing import Final

from device.provisioning import actions as act
from device.provisioning import events as ev
from device.provisioning import renewal_events as re
from device.provisioning.renewal import RenewalMachine, RenewalPlan
from device.runtime.first_boot import FirstBoot
from device.runtime.loop import Observer
from device.runtime.renewal_enrolment import RenewalEnrolment


class Renewal(FirstBoot):
    """Brings a device from its current certificate to a new one, or back.

    What is stored decides where it begins, so a renewal that was cut is continued.
    """

    def __init__(
        self,
        new_plan: Callable[[], RenewalPlan],
        enrolment: RenewalEnrolment,
        observer: Observer,
        hand_over: Callable[[], None] | None = None,
    ) -> None:
        """Call ``hand_over`` when the new certificate is promoted.

        Who gives it reports `HandedOver`; None: nobody else uses the old certificate.
        """
        super().__init__(lambda: RenewalMachine(new_plan()), enrolment, observer)
        self._renewals: Final = enrolment
        self._hand_over: Final = hand_over

    def carry_out(self, order: act.Action) -> ev.Event | None:
        """Do what ``order`` says with key and storage; return the outcome, if one is awaited."""
        match order:
            case re.LookAgain():
                return self._renewals.stored()
            case re.RollBack(is_unregistered):
                self._renewals.roll_back(is_unregistered=is_unregistered)
                return re.RolledBack()
            case re.RecordRetired(certificate_id):
                self._renewals.record_retired(certificate_id)
                return None
            case re.HandOver():
                return self._handed_over()
        return super().carry_out(order)

    def _handed_over(self) -> ev.Event | None:
        if self._hand_over is None:
            return re.HandedOver()
        self._hand_over()
        return None
