"""From power-on to operating: which machine runs, and what happens after it."""

import random
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from msgspec.structs import replace

from device.config.device_plan import AWSCRT_REPORTS_FIRST, RENEWAL_CLIENT, Plan
from device.config.settings import Settings, configured
from device.connection.session import Postbox, Session, SessionFactory
from device.connection.two_connections import TwoConnections
from device.errors import FirstbootError
from device.errors.provisioning import IDENTITY_REFUSED, NOT_LET_IN
from device.errors.renewal import CERTIFICATE_EXPIRED
from device.lifecycle.journal import Identity, load_configuration, load_identity
from device.operation.renewal import Ended, RenewalOrders
from device.operation.task import Task
from device.provisioning.actions import Action, Connect
from device.provisioning.events import Credential
from device.provisioning.presented import PresentedPlan
from device.runtime.backoff import Backoff, Dice
from device.runtime.clock import Clock, trusted_wall_time
from device.runtime.credentials import ClaimSource, Credentials, InstalledClaim
from device.runtime.loop import Loop, Observer, Patience
from device.runtime.notify import ServiceManager
from device.runtime.trust_anchors import TrustAnchors
from device.storage.device_storage import DeviceStorage
from device.storage.element.installation import attach_element
from device.storage.keys import KeyType
from device.storage.manufacturing_data import serial_number
from device.storage.secure_storage import Uid

if TYPE_CHECKING:
    from device.operation.operation import Operation
    from device.operation.renewal import Due
    from device.operation.work import Work
    from device.provisioning.claim import ClaimMachine
    from device.provisioning.presented import PresentedMachine
    from device.provisioning.renewal import RenewalPlan
    from device.runtime.deeds import Ending
    from device.runtime.enrolment import Enrolment
    from device.runtime.renewal import Renewal

_AFTER_FAILED_RENEWAL: Final = 60.0
_LONGEST_BETWEEN_RENEWALS: Final = 3600.0
"""Seconds between a renewal that failed and the next."""
_DEAD: Final = {CERTIFICATE_EXPIRED, NOT_LET_IN, IDENTITY_REFUSED}
"""How it looks if a device's certificate is of no use any more."""
_EnrolmentT = TypeVar("_EnrolmentT", bound="Enrolment")


class Agent:
    """One device, powered on."""

    def __init__(  # noqa: PLR0913 - one object per collaborator, all named at the one call
        self,
        storage: DeviceStorage,
        settings: Settings,
        plan: Plan,
        *,
        open_session: SessionFactory,
        clock: Clock,
        dice: Dice | None = None,
        observer: Observer,
        claims: ClaimSource | None = None,
        service: ServiceManager | None = None,
        folder: Path | None = None,
    ) -> None:
        """Follow ``plan``, which is ``settings`` made concrete for the device in ``storage``.

        What operation keeps beside the storage goes into ``folder``; without one, into memory.

        Raises:
            ElementError: the plan names a secure element, and it cannot be used.
        """
        self._storage: Final = storage
        self._settings: Final = settings
        self._plan: Final = plan
        self._clock: Final = clock
        if plan.element is not None:
            attach_element(storage, plan.element)
        self._claims: Final = claims
        self._folder: Final = folder
        self._observer: Final = observer
        self._is_connected = False
        self._dice: Final = dice or random.SystemRandom()
        credentials = Credentials(storage, claims or InstalledClaim(storage))
        self._anchors: Final = TrustAnchors(
            storage, plan.root_ca_pem, are_fixed=settings.root_ca is not None
        )

        def new_session(order: Action | None = None) -> Session:
            is_trial = isinstance(order, Connect) and order.credential is Credential.TRIAL
            anchors = self._anchors.staged if is_trial else self._anchors.current
            return open_session(
                plan.endpoint, anchors, credentials.tls_identity, settings.connection
            )

        self.session: Final = TwoConnections(new_session(), new_session)
        self.renewal_orders: Final = RenewalOrders()
        retry = settings.connection.retry
        self._loop: Final = Loop(
            self.session,
            clock=clock,
            backoff=Backoff(retry.shortest, retry.longest, self._dice),
            stable_after=retry.stable_after,
            observer=observer,
            service=service or ServiceManager({}),
        )

    @property
    def identity(self) -> Identity | None:
        """What the device is, once proven."""
        return load_identity(self._storage.ps)

    def boot(self, patience: Patience) -> None:
        """Provision the device unless it is; the connection then made stays open.

        Raises:
            FirstbootError: it stopped; the next boot continues from what is stored.
        """
        if self.identity is not None:
            return
        spread = self._settings.connection.first_connect_spread
        from device.runtime.first_boot import FirstBoot  # noqa: PLC0415 - see _enrolment

        turn = self._dice.uniform(0.0, spread)
        self._loop.pause("waiting for its turn (first_connect_spread)", turn)
        self._loop.run(FirstBoot(self._machine, self._enrolment, self._observer), patience)
        self._is_connected = True

    def boot_until_proven(self) -> None:
        """Provision as `boot` does, but never give up: after a failure, ask at a low rate."""
        self.boot(Patience(again_after=self._settings.connection.retry.after_denied))

    def renew(self, patience: Patience) -> None:
        """Renew the certificate, or continue a renewal that was begun; nobody may operate it.

        Raises:
            NotProvisionedError: the device has no identity yet.
            FirstbootError: it stopped; the current certificate stays in use.
        """
        from device.operation.renewal import Due  # noqa: PLC0415 - a boot needs none

        self._is_connected = False
        try:
            self._loop.run(self._renewal(None, Due("it is asked for")), patience)
        except FirstbootError as failure:
            if failure.row not in _DEAD or not self._may_recover:
                raise
            self._observer.add("recovery begun", str(failure))
            self._loop.run(self._renewal(None, Due(str(failure), recovers=True)), patience)

    @property
    def _may_recover(self) -> bool:
        has_birth_certificate = Uid.BIRTH_CERTIFICATE in self._storage.ps.uids()
        return self._settings.recovery.allowed and has_birth_certificate

    def _renewal(self, hand_over: Callable[[], None] | None, due: "Due") -> "Renewal":
        from device.config.device_plan import renewal_plan  # noqa: PLC0415 - a boot needs none
        from device.runtime.renewal import Renewal  # noqa: PLC0415
        from device.runtime.renewal_enrolment import RenewalEnrolment  # noqa: PLC0415

        enrolment = self._new_enrolment(RenewalEnrolment)
        enrolment.is_wanted, enrolment.recovers = due.is_new_wanted, due.recovers

        def new_plan() -> "RenewalPlan":
            current = enrolment.identity
            now = trusted_wall_time(self._clock, current.not_before)
            is_expired = now is not None and now > current.not_after
            return renewal_plan(
                self._settings,
                current.thing_name,
                current.certificate_id,
                serial=serial_number(self._storage),
                expired_at=current.not_after if is_expired else None,
                recovers=due.recovers,
            )

        return Renewal(new_plan, enrolment, self._observer, hand_over)

    def _renewing(self, operation: "Operation") -> "Work":
        from device.operation.renewal import Due, Renewing  # noqa: PLC0415 - a boot needs none
        from device.runtime.renewal_schedule import RenewalSchedule  # noqa: PLC0415

        retry = self._settings.connection.retry
        schedule = RenewalSchedule(self._storage, self._clock, self._settings.renewal)

        def look() -> Due | float:
            if operation.is_refused and self._may_recover:
                return Due("AWS IoT refuses the device's certificate", recovers=True)
            return schedule.look()

        return Renewing(
            operation,
            new_renewal=self._renewal,
            look=look,
            orders=self.renewal_orders,
            beside=self.session.beside,
            retries=Backoff(retry.shortest, retry.longest, self._dice),
            failures=Backoff(_AFTER_FAILED_RENEWAL, _LONGEST_BETWEEN_RENEWALS, self._dice),
        )

    def operate(self, *tasks: Task) -> "Ending":
        """Be at work, with an application's own ``tasks`` too, until a stop or a restart is asked.

        Returns:
            Whether the device is to start anew, as a job or a command may want.
        """
        from device.runtime.operating import Operating  # noqa: PLC0415 - a boot needs none of it

        identity = self.identity
        if identity is None:
            raise RuntimeError("a device operates after it booted")
        operating = Operating(
            self._storage,
            identity,
            configured(self._settings, load_configuration(self._storage.ps)),
            self._plan,
            clock=self._clock,
            observer=self._observer,
            folder=self._folder,
            postbox=first if isinstance(first := self.session.first, Postbox) else None,
            renewals=self.renewal_orders,
            replace_anchors=self._replace_anchors,
        )
        self._anchors.roll_back()
        try:
            ending = operating.run(
                self._loop, tasks, is_connected=self._is_connected, beside=self._renewing
            )
        finally:
            self.session.beside.close()
        self._is_connected = False
        return self._after(ending)

    def _replace_anchors(self, pem: str, ended: Ended) -> bool:
        """Have ``pem`` proven, and then trusted; return False if it is in use already.

        Raises:
            FirstbootError: that cannot begin.
        """
        from device.operation.anchors_trial import AnchorsTrial  # noqa: PLC0415 - rarely needed

        bundle, identity = self._anchors.canonical(pem), self.identity
        if bundle == self._anchors.current or identity is None:
            return False

        def trial() -> AnchorsTrial:
            self._anchors.stage(bundle)
            connection = self._settings.connection
            return AnchorsTrial(
                identity.thing_name,
                RENEWAL_CLIENT + identity.thing_name,
                connect_timeout=connection.connect_timeout + AWSCRT_REPORTS_FIRST,
                reply_timeout=connection.reply_timeout,
                promote=self._promote_anchors,
                roll_back=self._anchors.roll_back,
            )

        self.renewal_orders.order("new trust anchors are to be proven", ended, trial)
        return True

    def _promote_anchors(self) -> None:
        self._anchors.promote()
        self.session.trust(self._anchors.current)

    def _new_enrolment(self, kind: type[_EnrolmentT]) -> _EnrolmentT:
        from device.identity.csr import subject_name  # noqa: PLC0415 - see _enrolment

        return kind(
            self._storage,
            self._clock,
            method=self._settings.method,
            key_type=KeyType(self._settings.key.type),
            subject=subject_name(self._plan.subject),
            issuer_pem=self._plan.issuer_pem,
        )

    def _after(self, ending: "Ending") -> "Ending":
        """Do what the operation ended for; a machine that reboots stops this program, too."""
        from device.lifecycle.reset import clear_folder, reset  # noqa: PLC0415 - rarely needed
        from device.runtime.deeds import Ending  # noqa: PLC0415 - see operate
        from device.runtime.reboot import reboot_machine  # noqa: PLC0415 - rarely needed

        if ending is Ending.RESET:
            if self._folder is not None:
                clear_folder(self._folder, self._settings.metrics.file)
            reset(self._storage, keep_job=True)
        elif ending is Ending.RESTART and self._settings.restart.reboots == "machine":
            reboot_machine()
        return ending

    @cached_property
    def _enrolment(self) -> "Enrolment":
        """What a first boot needs: a device that is proven has none of it in memory."""
        from device.runtime.enrolment import Enrolment  # noqa: PLC0415

        return self._new_enrolment(Enrolment)

    def _machine(self) -> "ClaimMachine | PresentedMachine":
        from device.provisioning.claim import ClaimMachine  # noqa: PLC0415 - see _enrolment
        from device.provisioning.presented import PresentedMachine  # noqa: PLC0415

        plan = self._plan.machine
        if isinstance(plan, PresentedPlan):
            return PresentedMachine(plan)
        # A boot that was begun with a key of the device's own is finished with it.
        progress = self._enrolment.progress
        has_key = progress is not None and progress.csr_pem is not None
        by_aws = plan.keys_made_by_aws and not has_key
        at_hand = self._claims is not None or Uid.CLAIM_CERTIFICATE in self._storage.ps.uids()
        return ClaimMachine(replace(plan, keys_made_by_aws=by_aws, claim_at_hand=at_hand))
