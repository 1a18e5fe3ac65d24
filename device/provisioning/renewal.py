"""Renewal: another key and another certificate for a thing that stays what it is.

The device makes a new key and asks for its certificate with the current one. The new certificate
is staged, and proven by a connection of its own: the cloud says which certificate it saw. Only
then is it promoted, in one commit that destroys the old key. Last, the cloud retires the old
certificate. The current connection is not touched before the promotion.

A certificate that came to nothing is retired as well, before another one is asked for. So a
thing has two certificates at most, whatever fails.

Source: AWS IoT Core Developer Guide, "Device provisioning MQTT API"; docs/aws-iot-facts.md, 7.3.
"""

from typing import Final

from msgspec import Struct

from device.errors import FirstbootError
from device.errors.renewal import (
    RECOVERY_REFUSED,
    RENEWAL_NOT_CONFIRMED,
    RENEWAL_REFUSED,
    RENEWED_CERTIFICATE_REFUSED,
    certificate_expired,
)
from device.provisioning import events as ev
from device.provisioning import messages, renewal_messages, topics
from device.provisioning import renewal_events as re
from device.provisioning.actions import (
    Action,
    Connect,
    Disconnect,
    Fail,
    GenerateKey,
    Promote,
    RecordRefusal,
    RecordRegistration,
    Request,
    StageCertificate,
    Subscribe,
    WaitBeforeRetry,
)
from device.provisioning.events import Credential, Event
from device.provisioning.failures import error_of, is_about_the_token
from device.provisioning.machine import Machine
from device.provisioning.renewal_states import (
    AWAITING_REPLY,
    BY_ASKER,
    CONNECTING,
    PROBING,
    TRANSITIONS,
    WITH_NEW,
    State,
)

S = State


class RenewalPlan(Struct, frozen=True):
    """What a renewal is to do; strings are final, not templates."""

    thing_name: str
    certificate_id: str
    """The current certificate's."""
    template_name: str
    birth_client_id: str | None
    """If the current certificate is dead: for connections with the birth certificate."""
    proof_client_id: str
    """For connections with the new certificate, beside the one that is still serving."""
    method: str
    serial: str
    """As the station would make the device again."""
    expired_at: float | None
    """When the current certificate expired, in seconds since the epoch; None if it has not."""
    reply_timeout: float
    """Seconds, as ``connect_timeout``."""
    connect_timeout: float


class RenewalMachine(Machine[State]):
    """Drives one device from its current certificate to a new one, or back."""

    def __init__(self, plan: RenewalPlan) -> None:
        """Wait for the first event, which says what is stored."""
        limits = dict.fromkeys(AWAITING_REPLY, plan.reply_timeout)
        limits |= dict.fromkeys(CONNECTING, plan.connect_timeout)
        super().__init__(TRANSITIONS, S.AWAITING_POWER, limits)
        self._plan: Final = plan
        self._current = plan.certificate_id
        self._failure: FirstbootError | None = None
        self._forget()

    def _forget(self) -> None:
        """A retry starts from what is stored, as after a power cut."""
        self._csr_pem = self._token = self._new = self._retires = ""

    @property
    def finished(self) -> bool:
        """Whether nothing remains to be done."""
        return self._state is S.ENDED

    def receive(self, event: Event) -> list[Action]:
        """Advance on ``event``; a thing of another name is an event of its own.

        Raises:
            UnexpectedEventError: ``event`` cannot happen in this state.
        """
        match event:
            case ev.ThingRegistered(thing_name=name) if name != self._plan.thing_name:
                return super().receive(ev.UnexpectedThingNamed(self._plan.thing_name, name))
        return super().receive(event)

    def reply_in(self, message: ev.MessageReceived) -> Event | None:
        """Return what ``message`` answers to the request in flight; None if it is no answer."""
        if message.topic != renewal_messages.topic_of_cloud(self._plan.thing_name):
            return super().reply_in(message)
        match self._state:
            case S.PROVING_CERTIFICATE:
                return renewal_messages.decode_confirmation(message, self._new)
            case S.RETIRING_CERTIFICATE:
                return renewal_messages.decode_retirement(message, self._retires)
        return None

    def _actions(self, before: State, event: Event) -> list[Action]:
        self._remember(event)
        match self._state:
            case S.WAITING_TO_RETRY:
                return self._wait(before, event)
            case S.ROLLING_BACK:
                self._failure = self._cause(before, event)
                return [re.RollBack(_is_unregistered(before, event))]
            case S.LOOKING_AGAIN if isinstance(event, re.CertificateRetired):
                return [re.RecordRetired(event.certificate_id), re.LookAgain()]
            case S.LOOKING_AGAIN:
                self._forget()
                return [re.LookAgain()]
            case S.ENDED:
                return [Fail(self._failure)] if self._failure else []
        return self._store(event) or self._talk(before)

    def _store(self, event: Event) -> list[Action]:
        """What to do with key and storage in the state that was entered."""
        match self._state:
            case S.GENERATING_KEY:
                return [GenerateKey()]
            case S.STAGING_CERTIFICATE if isinstance(event, ev.CertificateIssued):
                return [_stage(event)]
            case S.CLOSING_CONNECTION:
                return [RecordRegistration(self._plan.thing_name, None), Disconnect()]
            case S.PROMOTING_CERTIFICATE:
                return [Promote(self._plan.thing_name)]
            case S.HANDING_OVER:
                return [re.HandOver()]
        return []

    def _talk(self, before: State) -> list[Action]:
        """What to say to the cloud in the state that was entered."""
        answers = renewal_messages.topic_of_cloud(self._plan.thing_name)
        match self._state:
            case state if state in CONNECTING:
                return [self._connect(state)]
            case S.SUBSCRIBING_TO_REQUEST | S.SUBSCRIBING_TO_REGISTER:
                return [self._subscribe()]
            case S.SUBSCRIBING_TO_CONFIRMATION if before in PROBING:  # so it is registered
                return [RecordRegistration(self._plan.thing_name, None), Subscribe((answers,))]
            case S.SUBSCRIBING_TO_CONFIRMATION | S.SUBSCRIBING_TO_RETIRE:
                return [Subscribe((answers,))]
            case S.REQUESTING_CERTIFICATE:
                payload = messages.certificate_from_csr_request(self._csr_pem)
                return [Request(topics.CREATE_CERTIFICATE_FROM_CSR, payload)]
            case S.REGISTERING_CERTIFICATE | S.REDEEMING_SAVED_TOKEN:
                return [self._register()]
            case S.PROVING_CERTIFICATE:
                return [self._ask(renewal_messages.proof(self._new, self._current))]
            case S.RETIRING_CERTIFICATE:
                return [self._ask(renewal_messages.retirement(self._current, self._retires))]
        return []

    def _remember(self, event: Event) -> None:
        match event:
            case ev.KeyGenerated(csr_pem) | ev.KeyFound(csr_pem):
                self._csr_pem = csr_pem
            case ev.CertificateIssued(identifier, ownership_token=token):
                self._new, self._token = identifier, token
            case ev.StagedCertificateFound(token, certificate_id=identifier):
                self._new, self._token = identifier, token
            case ev.RegistrationFound(certificate_id=identifier, ownership_token=token):
                self._new, self._token = identifier, token
            case ev.StagedCertificateDoubted(identifier):
                self._new = identifier
            case ev.IdentityPromoted():
                self._current, self._retires = self._new, self._current
            case re.RetirementFound(identifier):
                self._retires = identifier

    def _wait(self, before: State, event: Event) -> list[Action]:
        cause = self._failure or self._cause(before, event)
        self._forget()
        wait = WaitBeforeRetry(cause)
        if before is S.CONNECTING_WITH_NEW and isinstance(event, ev.NotLetIn):
            return [RecordRefusal(), wait]  # and it was registered a moment ago
        if before is S.REDEEMING_SAVED_TOKEN and is_about_the_token(event):
            return [RecordRefusal(), wait]
        return [wait]

    def _cause(self, before: State, event: Event) -> FirstbootError:
        match event:
            case re.OtherCertificateConfirmed(expected, seen):
                return RENEWAL_NOT_CONFIRMED.error(expected=expected, seen=seen)
            case re.RenewalRefused(reason):
                return RENEWAL_REFUSED.error(reason, certificate_id=self._new)
            case ev.NotLetIn(detail) if before in WITH_NEW:
                return RENEWED_CERTIFICATE_REFUSED.error(detail, certificate_id=self._new)
            case ev.RequestDenied() if self._credential(before) is Credential.BIRTH:
                method, serial = self._plan.method, self._plan.serial
                said = f"{event.status_code} {event.error_code}: {event.error_message}"
                return RECOVERY_REFUSED.error(said, method=method, serial=serial)
            case ev.NotLetIn(detail) if (
                expired_at := self._plan.expired_at
            ) is not None and self._credential(before) is Credential.DEVICE:
                method, serial = self._plan.method, self._plan.serial
                return certificate_expired(detail, expired_at, method, serial)
        failure = error_of(event, before.value, self._credential(before))
        match event:
            case ev.SubscriptionDenied() | ev.PublishDenied():
                return self._if_unprepared(failure, failure.next_step)
            case ev.RequestRefused(error_code="InvalidTemplate"):
                template = self._plan.template_name
                return self._if_unprepared(failure, f"See whether {template} is enabled.")
        return failure

    def _if_unprepared(self, failure: FirstbootError, otherwise: str) -> FirstbootError:
        """Return ``failure``, which says first how the station prepares an account for it."""
        option = "--renewal" if self._plan.birth_client_id is None else "--recovery DAYS"
        command = f"factory prepare --method {self._plan.method} {option}"
        next_step = f"If the account was not prepared for it: {command}. Otherwise: {otherwise}"
        return failure.row.error(failure, **failure.fields, next_step=next_step)

    def _credential(self, state: State) -> Credential:
        """Return what the connection in ``state`` is made with."""
        if state in WITH_NEW:
            return Credential.STAGED
        is_by_birth = state in BY_ASKER and self._plan.birth_client_id is not None
        return Credential.BIRTH if is_by_birth else Credential.DEVICE

    def _connect(self, state: State) -> Connect:
        credential, plan = self._credential(state), self._plan
        client_ids = {
            Credential.STAGED: plan.proof_client_id,
            Credential.BIRTH: plan.birth_client_id or "",
        }
        return Connect(credential, client_ids.get(credential, plan.thing_name))

    def _subscribe(self) -> Subscribe:
        register = topics.replies(topics.register_thing(self._plan.template_name))
        if self._state is S.SUBSCRIBING_TO_REGISTER:
            return Subscribe(register)
        return Subscribe(topics.replies(topics.CREATE_CERTIFICATE_FROM_CSR) + register)

    def _register(self) -> Request:
        payload = messages.register_thing_request(self._token, {"ThingName": self._plan.thing_name})
        return Request(topics.register_thing(self._plan.template_name), payload)

    def _ask(self, payload: bytes) -> Request:
        return Request(renewal_messages.topic_of_device(self._plan.thing_name), payload)


def _is_unregistered(before: State, event: Event) -> bool:
    """Tell whether a token that was never used before was refused in words."""
    refusals = (ev.RequestDenied, ev.RequestRefused, ev.TokenRefused)
    return before is S.REGISTERING_CERTIFICATE and isinstance(event, refusals)


def _stage(issued: ev.CertificateIssued) -> StageCertificate:
    return StageCertificate(
        certificate_id=issued.certificate_id,
        certificate_pem=issued.certificate_pem,
        ownership_token=issued.ownership_token,
    )
