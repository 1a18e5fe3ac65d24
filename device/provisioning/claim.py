"""Fleet provisioning by claim, and by trusted user: the same flow with another claim.

The device asks for a certificate with a claim credential that many devices share, stages
it, registers the thing, and then proves that it can act with the new certificate alone.
Only that proof promotes the certificate and destroys the claim.

When it is not known whether RegisterThing was applied (its reply was lost, or the power
was), the staged certificate is tried first: being let in is the only certain answer, and
asking twice could be denied by a hook that lets each serial in once. A certificate that is
refused is kept: the device presents its saved token again and tries again, until
`device.provisioning.evidence` says that the cloud does not know it.

Source: AWS IoT Core Developer Guide, "Provisioning devices that don't have device
certificates using fleet provisioning" and "Device provisioning MQTT API".
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from device.errors import FirstbootError
from device.errors.provisioning import CERTIFICATE_GIVEN_UP, CERTIFICATE_IN_DOUBT
from device.provisioning import events as ev
from device.provisioning import messages, topics
from device.provisioning.actions import (
    Action,
    Connect,
    Disconnect,
    Fail,
    GenerateKey,
    GiveUpStagedCertificate,
    Promote,
    Publish,
    RecordRefusal,
    RecordRegistration,
    Request,
    StageCertificate,
    Subscribe,
    WaitBeforeRetry,
)
from device.provisioning.claim_states import (
    AWAITING_REPLY,
    CONNECTING,
    PROBING,
    TRANSITIONS,
    TRANSITIONS_WITH_AWS_KEYS,
    WITH_CLAIM,
    State,
    without_a_claim,
)
from device.provisioning.events import Credential, Event
from device.provisioning.failures import error_of, is_about_the_token
from device.provisioning.machine import Machine

S = State
GIVEN_UP: Final = "{given_up}"


class ClaimPlan(Struct, frozen=True):
    """What the configuration says about this provisioning; strings are final, not templates."""

    template_name: str
    parameters: Mapping[str, str]
    """What RegisterThing sends; ``{proof}`` stands for the proof of the certificate in hand.

    ``{given_up}`` stands for the ids of certificates that this device gave up, with commas
    between. A parameter with it is sent only when there are some, so that a template need not
    declare it.
    """
    claim_client_id: str
    expected_thing_name: str
    """The name that RegisterThing is to answer with; the staged certificate is tried under it."""
    proof_topic: str
    """Where the proof is published; ``{thing_name}`` stands for the registered name."""
    reply_timeout: float
    """Seconds, as ``connect_timeout``."""
    connect_timeout: float
    keys_made_by_aws: bool = False
    named_by_cloud: bool = False
    """Whether any thing name is taken, because only the template knows it."""
    claim_at_hand: bool = True
    """Whether there is a claim to connect with; a trusted user's is there for minutes only."""


class ClaimMachine(Machine[State]):
    """Drives one device from nothing to a proven identity."""

    def __init__(self, plan: ClaimPlan) -> None:
        """Wait for power; the first event says what the storage holds."""
        table = TRANSITIONS_WITH_AWS_KEYS if plan.keys_made_by_aws else TRANSITIONS
        table = table if plan.claim_at_hand else without_a_claim(table)
        limits = dict.fromkeys(AWAITING_REPLY, plan.reply_timeout)
        limits |= dict.fromkeys(CONNECTING, plan.connect_timeout)
        super().__init__(table, S.AWAITING_POWER, limits)
        self._plan = plan
        self._forget()

    def _forget(self) -> None:
        """A retry starts from what is stored, as after a power cut: memory must not matter."""
        self._csr_pem: str | None = None
        self._token = ""
        self._proof = ""
        self._certificate_id = ""
        self._given_up: tuple[str, ...] = ()
        self._configuration: Mapping[str, str] | None = None
        self._thing_name = self._plan.expected_thing_name

    def receive(self, event: Event) -> list[Action]:
        """Advance on ``event``; a thing name that nobody expects is an event of its own.

        Raises:
            UnexpectedEventError: ``event`` cannot happen in this state.
        """
        expected = self._plan.expected_thing_name
        match event:
            case ev.ThingRegistered(thing_name=name) if name != expected:
                if not self._plan.named_by_cloud:
                    return super().receive(ev.UnexpectedThingNamed(expected, name))
        return super().receive(event)

    @property
    def finished(self) -> bool:
        """Whether the device is proven and promoted."""
        return self._state is S.PROVISIONED

    def _actions(self, before: State, event: Event) -> list[Action]:
        self._remember(event)
        match self._state:
            case S.WAITING_TO_RETRY | S.FAILED:
                return self._give_up(before, event)
            case S.GENERATING_KEY:
                return [GenerateKey()]
            case S.STAGING_CERTIFICATE if isinstance(event, ev.CertificateIssued):
                return [self._stage(event)]
            case S.CLOSING_CLAIM_CONNECTION:
                return [RecordRegistration(self._thing_name, self._configuration), Disconnect()]
            case S.PROMOTING_CERTIFICATE:
                return [Promote(self._thing_name)]
        return self._talk(before)

    def _talk(self, before: State) -> list[Action]:
        """What to say to the cloud in the state that was entered."""
        match self._state:
            case state if state in CONNECTING:
                return [
                    self._connect(Credential.CLAIM if state in WITH_CLAIM else Credential.STAGED)
                ]
            case S.SUBSCRIBING_TO_REQUEST | S.SUBSCRIBING_TO_REGISTER:
                return [self._subscribe()]
            case S.REQUESTING_CERTIFICATE:
                return [self._request_certificate()]
            case S.REGISTERING_THING | S.REDEEMING_SAVED_TOKEN:
                return [self._register()]
            case S.PROVING_IDENTITY if before in PROBING:  # it is registered: the reply was lost
                return [RecordRegistration(self._thing_name, None), self._prove()]
            case S.PROVING_IDENTITY:
                return [self._prove()]
        return []

    def _remember(self, event: Event) -> None:
        match event:
            case ev.KeyGenerated(csr_pem) | ev.KeyFound(csr_pem):
                self._csr_pem = csr_pem
            case ev.CertificateIssued(identifier, ownership_token=token):
                self._certificate_id, self._token = identifier, token
            case ev.CertificateStaged(proof, given_up):
                self._proof, self._given_up = proof, given_up
            case ev.StagedCertificateFound(token, proof, identifier, given_up):
                self._token, self._proof = token, proof
                self._certificate_id, self._given_up = identifier, given_up
            case ev.RegistrationFound(name, identifier, token, proof, given_up):
                self._thing_name, self._certificate_id = name, identifier
                self._token, self._proof, self._given_up = token, proof, given_up
            case ev.StagedCertificateDoubted(identifier, name):
                self._certificate_id = identifier
                self._thing_name = name or self._thing_name
            case ev.ThingRegistered(name, configuration):
                self._thing_name, self._configuration = name, configuration

    def _give_up(self, before: State, event: Event) -> list[Action]:
        """What to do where the flow ends for now: keep what there is, but for what is doubted."""
        cause = self._cause(before, event)
        self._forget()
        if self._state is S.FAILED:
            return [Fail(cause)]
        wait = WaitBeforeRetry(cause)
        if before is S.PROBING_DOUBTED_CERTIFICATE and isinstance(event, ev.NotLetIn):
            return [GiveUpStagedCertificate(), wait]
        if before is S.REDEEMING_SAVED_TOKEN and is_about_the_token(event):
            return [RecordRefusal(), wait]
        return [wait]

    def _cause(self, before: State, event: Event) -> FirstbootError:
        credential = Credential.CLAIM if before in WITH_CLAIM else Credential.STAGED
        failure = error_of(event, before.value, credential)
        match before, event:
            case S.PROBING_DOUBTED_CERTIFICATE, ev.NotLetIn(detail):
                return CERTIFICATE_GIVEN_UP.error(detail, certificate_id=self._certificate_id)
            case (S.PROBING_STAGED_CERTIFICATE, ev.NotLetIn()) | (
                S.REGISTERING_THING,
                ev.TokenRefused(),
            ):
                return CERTIFICATE_IN_DOUBT.error(str(failure), certificate_id=self._certificate_id)
            case S.REDEEMING_SAVED_TOKEN, _ if is_about_the_token(event):
                return CERTIFICATE_IN_DOUBT.error(str(failure), certificate_id=self._certificate_id)
        return failure

    def _subscribe(self) -> Subscribe:
        register = topics.replies(topics.register_thing(self._plan.template_name))
        if self._state is S.SUBSCRIBING_TO_REGISTER:
            return Subscribe(register)
        return Subscribe(topics.replies(self._create_topic()) + register)

    def _connect(self, credential: Credential) -> Connect:
        """Claim sessions have an id of their own: with the thing's they would evict the device."""
        claim = credential is Credential.CLAIM
        return Connect(credential, self._plan.claim_client_id if claim else self._thing_name)

    def _create_topic(self) -> str:
        if self._csr_pem is None:
            return topics.CREATE_KEYS_AND_CERTIFICATE
        return topics.CREATE_CERTIFICATE_FROM_CSR

    def _request_certificate(self) -> Request:
        if self._csr_pem is None:
            return Request(self._create_topic(), messages.keys_and_certificate_request())
        return Request(self._create_topic(), messages.certificate_from_csr_request(self._csr_pem))

    def _stage(self, issued: ev.CertificateIssued) -> StageCertificate:
        return StageCertificate(
            certificate_id=issued.certificate_id,
            certificate_pem=issued.certificate_pem,
            ownership_token=issued.ownership_token,
            private_key_pem=issued.private_key_pem,
        )

    def _register(self) -> Request:
        parameters = {
            name: value.replace("{proof}", self._proof).replace(GIVEN_UP, ",".join(self._given_up))
            for name, value in self._plan.parameters.items()
            if self._given_up or GIVEN_UP not in value
        }
        payload = messages.register_thing_request(self._token, parameters)
        return Request(topics.register_thing(self._plan.template_name), payload)

    def _prove(self) -> Publish:
        topic = self._plan.proof_topic.replace("{thing_name}", self._thing_name)
        return Publish(topic, messages.proof_of_identity(self._thing_name))
