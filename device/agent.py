"""From power-on to operating: which machine runs, and what happens after it."""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from device.config.endpoint import Endpoint
from device.config.plan import Plan
from device.config.settings import Connection, Settings, configured
from device.errors import ExitCode, FirstbootError
from device.errors.provisioning import ProvisioningError
from device.identity.csr import subject_name
from device.provisioning.claim import ClaimMachine
from device.provisioning.events import Credential
from device.provisioning.presented import PresentedMachine, PresentedPlan
from device.runtime.backoff import Backoff, Dice
from device.runtime.clock import Clock
from device.runtime.credentials import ClaimSource, Credentials, InstalledClaim
from device.runtime.driver import Driver, Observer, Patience
from device.runtime.enrolment import Enrolment
from device.runtime.journal import Identity, load_configuration, load_identity
from device.runtime.listener import SLOW_SECONDS
from device.runtime.operation import Operation, Witness
from device.runtime.session import Session, pause
from device.runtime.telemetry import Sensors
from device.storage.device_storage import DeviceStorage
from device.storage.element.installation import attach_element
from device.storage.keys import KeyType, TlsIdentity
from device.storage.secure_storage import Uid

SessionFactory = Callable[
    [Endpoint, bytes, Callable[[Credential], TlsIdentity], Connection], Session
]


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
        claims: ClaimSource | None = None,
    ) -> None:
        """Follow ``plan``, which is ``settings`` made concrete for the device in ``storage``.

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
        self._dice: Final = dice or random.SystemRandom()
        self._enrolment: Final = Enrolment(
            storage,
            clock,
            method=settings.method,
            key_type=KeyType(settings.key.type),
            subject=subject_name(plan.subject),
            issuer_pem=plan.issuer_pem,
        )
        credentials = Credentials(storage, claims or InstalledClaim(storage))
        self.session: Final = open_session(
            plan.endpoint, plan.root_ca_pem, credentials.tls_identity, settings.connection
        )

    @property
    def identity(self) -> Identity | None:
        """What the device is, once proven."""
        return load_identity(self._storage.ps)

    def boot(self, observer: Observer, patience: Patience) -> bool:
        """Provision the device unless it is; return whether a connection is open now.

        Raises:
            FirstbootError: it stopped; the next boot goes on from what is stored.
        """
        if self.identity is not None:
            return False
        spread = self._settings.connection.first_connect_spread
        seconds = self._dice.uniform(0.0, spread)
        if seconds >= SLOW_SECONDS:
            observer.slow("waiting for its turn (first_connect_spread)", seconds)
        pause(self.session, self._clock, seconds)
        Driver(
            self._machine(),
            session=self.session,
            enrolment=self._enrolment,
            clock=self._clock,
            backoff=self._backoff(),
            patience=patience,
            observer=observer,
        ).run()
        return True

    def boot_until_proven(self, observer: Observer) -> bool:
        """Provision as `boot` does, but never give up: after a failure, ask at a low rate."""
        while True:
            try:
                return self.boot(observer, Patience())
            except FirstbootError as error:
                lost_cause = error.exit_code is ExitCode.CONFIGURATION_INVALID
                if lost_cause or not isinstance(error, ProvisioningError):
                    raise
                wait = self._settings.connection.retry.after_denied
                seconds = wait / 2 + self._dice.uniform(0.0, wait)
                observer.waiting(error, seconds)
                pause(self.session, self._clock, seconds)

    def operate(self, witness: Witness, *, already_connected: bool) -> None:
        """Publish telemetry as the thing until a stop is requested."""
        identity = self.identity
        if identity is None:
            raise RuntimeError("a device operates after it booted")
        Operation(
            identity.thing_name,
            configured(self._settings, load_configuration(self._storage.ps)),
            topic=self._plan.machine.proof_topic.replace("{thing_name}", identity.thing_name),
            session=self.session,
            clock=self._clock,
            backoff=self._backoff(),
            sensors=Sensors(self._clock),
            witness=witness,
        ).run(already_connected=already_connected)

    def _machine(self) -> ClaimMachine | PresentedMachine:
        plan = self._plan.machine
        if isinstance(plan, PresentedPlan):
            return PresentedMachine(plan)
        # A boot that was begun with a key of the device's own is finished with it.
        progress = self._enrolment.progress
        has_key = progress is not None and progress.csr_pem is not None
        by_aws = plan.keys_made_by_aws and not has_key
        at_hand = self._claims is not None or Uid.CLAIM_CERTIFICATE in self._storage.ps.uids()
        return ClaimMachine(replace(plan, keys_made_by_aws=by_aws, claim_at_hand=at_hand))

    def _backoff(self) -> Backoff:
        retry = self._settings.connection.retry
        return Backoff(retry.shortest, retry.longest, self._dice)
