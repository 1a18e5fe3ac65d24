"""Methods in which the device already holds its certificate: present it, be accepted, prove it.

Just-in-time methods (JITP, JITR) expect to be refused first: AWS IoT learns of the
certificate from the very connection that it then drops. Where the certificate was registered
beforehand (bulk, single thing, multi-account) a refusal is a fault. That is the one
difference, and it is a row of the table.

Sources: AWS IoT Core Developer Guide, "Just-in-time provisioning", "Just-in-time
registration", "Bulk registration", "Provisioning devices that have device certificates".
"""

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from device.errors import FirstbootError
from device.errors.provisioning import (
    NOT_LET_IN,
    clock_behind,
    in_order_of_likelihood,
    not_activated_yet,
)
from device.provisioning import events as ev
from device.provisioning import messages
from device.provisioning.actions import (
    Action,
    Connect,
    Fail,
    Promote,
    Publish,
    WaitBeforeRetry,
)
from device.provisioning.events import Credential, Event
from device.provisioning.failures import error_of
from device.provisioning.machine import Machine, Transitions


class State(Enum):
    """What the device waits for; the value is how a person would say it."""

    AWAITING_POWER = "waiting for power"
    PRESENTING_CERTIFICATE = "presenting the certificate"
    AWAITING_ACTIVATION = "waiting until AWS IoT has registered the certificate"
    PROVING_IDENTITY = "proving the identity"
    PROMOTING_CERTIFICATE = "promoting the certificate"
    WAITING_TO_RETRY = "waiting to try again"
    PROVISIONED = "provisioned"
    FAILED = "stopped"


S = State
_RESUME: Final[Mapping[type[Event], State]] = {
    ev.CertificateInstalled: S.PRESENTING_CERTIFICATE,
}

PREREGISTERED: Final[Transitions[State]] = MappingProxyType(
    {
        S.AWAITING_POWER: _RESUME,
        S.PRESENTING_CERTIFICATE: {
            ev.Connected: S.PROVING_IDENTITY,
            ev.NotLetIn: S.WAITING_TO_RETRY,
            ev.ConnectFailed: S.WAITING_TO_RETRY,
            ev.ConnectionLost: S.WAITING_TO_RETRY,
            ev.TimedOut: S.WAITING_TO_RETRY,
        },
        S.AWAITING_ACTIVATION: _RESUME,
        S.PROVING_IDENTITY: {
            ev.PublishAcknowledged: S.PROMOTING_CERTIFICATE,
            ev.PublishDenied: S.FAILED,
            ev.NotAcknowledged: S.WAITING_TO_RETRY,
            ev.ConnectionLost: S.WAITING_TO_RETRY,
            ev.TimedOut: S.WAITING_TO_RETRY,
        },
        S.PROMOTING_CERTIFICATE: {ev.IdentityPromoted: S.PROVISIONED},
        S.WAITING_TO_RETRY: _RESUME,
        S.PROVISIONED: {},
        S.FAILED: {},
    }
)

JUST_IN_TIME: Final[Transitions[State]] = MappingProxyType(
    {
        **PREREGISTERED,
        S.PRESENTING_CERTIFICATE: {
            **PREREGISTERED[S.PRESENTING_CERTIFICATE],
            ev.NotLetIn: S.AWAITING_ACTIVATION,
        },
    }
)
"""The row that differs: a refusal is what a just-in-time method begins with."""


class PresentedPlan(Struct, frozen=True):
    """What the configuration says; strings are final, not templates."""

    thing_name: str
    proof_topic: str
    reply_timeout: float
    """Seconds, as ``connect_timeout``."""
    connect_timeout: float
    refusal_causes: tuple[str, ...]
    """Why AWS IoT may refuse, in order of likelihood, for this method."""
    just_in_time: bool


class PresentedMachine(Machine[State]):
    """Drives one device from an installed certificate to a proven identity."""

    def __init__(self, plan: PresentedPlan) -> None:
        """Wait for power."""
        table = JUST_IN_TIME if plan.just_in_time else PREREGISTERED
        limits = {
            S.PRESENTING_CERTIFICATE: plan.connect_timeout,
            S.PROVING_IDENTITY: plan.reply_timeout,
        }
        super().__init__(table, S.AWAITING_POWER, limits)
        self._plan = plan
        self._found = ev.CertificateInstalled("")
        self._refusals = 0

    @property
    def finished(self) -> bool:
        """Whether the device is proven and promoted."""
        return self._state is S.PROVISIONED

    def _actions(self, before: State, event: Event) -> list[Action]:
        if isinstance(event, ev.CertificateInstalled):
            self._found = event
        match self._state:
            case S.PRESENTING_CERTIFICATE:
                return [Connect(Credential.INSTALLED, self._plan.thing_name)]
            case S.PROVING_IDENTITY:
                return [self._prove()]
            case S.PROMOTING_CERTIFICATE:
                return [Promote(self._plan.thing_name)]
            case S.AWAITING_ACTIVATION | S.WAITING_TO_RETRY:
                return [WaitBeforeRetry(self._error(before, event))]
            case S.FAILED:
                return [Fail(self._error(before, event))]
        return []

    def _prove(self) -> Publish:
        topic = self._plan.proof_topic.replace("{thing_name}", self._plan.thing_name)
        return Publish(topic, messages.proof_of_identity(self._plan.thing_name))

    def _error(self, before: State, event: Event) -> FirstbootError:
        if not isinstance(event, ev.NotLetIn):
            return error_of(event, before.value, Credential.INSTALLED)
        self._refusals += 1
        if self._found.not_before is not None:
            return clock_behind(self._found.now, self._found.not_before)
        causes, just_in_time = self._plan.refusal_causes, self._plan.just_in_time
        advice = _advice_on(self._found.certificate_id, just_in_time=just_in_time)
        next_step = in_order_of_likelihood(causes, advice)
        if just_in_time:
            return not_activated_yet(event.detail, self._refusals, next_step)
        return NOT_LET_IN.error(event.detail, credential=Credential.INSTALLED, next_step=next_step)


def _advice_on(certificate_id: str, *, just_in_time: bool) -> str:
    """Return how to find out which cause it is, and how a certificate gets a second chance.

    AWS IoT applies a template, and calls for a decision, when it registers a certificate. One
    that was turned down stays as it is until it is deleted; then the next connection is a first
    one again. (Developer guide, "Just-in-time provisioning"; API reference, DeleteCertificate.)
    """
    look = f"To see its status: aws iot describe-certificate --certificate-id {certificate_id}"
    if not just_in_time:
        return f"{look}."
    return (
        f"{look}. AWS IoT decides only once. If it is there, correct the cause, delete it (aws iot "
        f"delete-certificate --certificate-id {certificate_id}) and boot again."
    )
