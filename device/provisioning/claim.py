"""Fleet provisioning by claim, and by trusted user: the same flow with another claim.

The device asks for a certificate with a claim credential that many devices share, stages
it, registers the thing, and then proves that it can act with the new certificate alone.
Only that proof promotes the certificate and destroys the claim.

When it is not known whether RegisterThing was applied (its reply was lost, or the power
was), the staged certificate is tried first: being let in is the only certain answer, and
asking twice could be denied by a hook that lets each serial in once.

Source: AWS IoT Core Developer Guide, "Provisioning devices that don't have device
certificates using fleet provisioning" and "Device provisioning MQTT API".
"""

from collections.abc import Mapping
from dataclasses import dataclass

from device.provisioning import events as ev
from device.provisioning import messages, topics
from device.provisioning.actions import (
    Action,
    Connect,
    Disconnect,
    Fail,
    ForgetStagedCertificate,
    GenerateKey,
    Promote,
    Publish,
    RecordRegistration,
    Request,
    StageCertificate,
    Subscribe,
    WaitBeforeRetry,
)
from device.provisioning.claim_states import (
    AWAITING_REPLY,
    CONNECTING,
    TRANSITIONS,
    TRANSITIONS_WITH_AWS_KEYS,
    WITH_CLAIM,
    State,
)
from device.provisioning.events import Credential, Event
from device.provisioning.failures import error_of
from device.provisioning.machine import Machine

S = State


@dataclass(frozen=True)
class ClaimPlan:
    """What the configuration says about this provisioning; strings are final, not templates."""

    template_name: str
    parameters: Mapping[str, str]
    """What RegisterThing sends; ``{proof}`` stands for the proof of the certificate in hand."""
    claim_client_id: str
    expected_thing_name: str
    proof_topic: str
    """Where the proof is published; ``{thing_name}`` stands for the registered name."""
    keys_made_by_aws: bool = False
    reply_timeout: float = 15.0
    connect_timeout: float = 30.0


class ClaimMachine(Machine[State]):
    """Drives one device from nothing to a proven identity."""

    def __init__(self, plan: ClaimPlan) -> None:
        """Wait for power; the first event says what the storage holds."""
        table = TRANSITIONS_WITH_AWS_KEYS if plan.keys_made_by_aws else TRANSITIONS
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
        self._configuration: Mapping[str, str] | None = None
        self._thing_name = self._plan.expected_thing_name

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
            case S.CONNECTING_TO_REQUEST if before is S.PROBING_WITH_EXPIRED_TOKEN:
                return [ForgetStagedCertificate(), self._connect(Credential.CLAIM)]
            case state if state in CONNECTING:
                return [
                    self._connect(Credential.CLAIM if state in WITH_CLAIM else Credential.STAGED)
                ]
            case S.SUBSCRIBING_TO_REQUEST | S.SUBSCRIBING_TO_REGISTER:
                return [self._subscribe()]
            case S.REQUESTING_CERTIFICATE:
                return [self._request_certificate()]
            case S.REGISTERING_THING:
                return [self._register()]
            case S.PROVING_IDENTITY if before is S.CONNECTING_AS_DEVICE:
                return [self._prove()]
            case S.PROVING_IDENTITY:  # a probe was let in: registered, but the reply is lost
                return [RecordRegistration(self._thing_name, None), self._prove()]
        return []

    def _remember(self, event: Event) -> None:
        match event:
            case ev.KeyGenerated(csr_pem) | ev.KeyFound(csr_pem) | ev.ExpiredTokenFound(csr_pem):
                self._csr_pem = csr_pem
            case ev.StagedCertificateFound(token, proof):
                self._token, self._proof = token, proof
            case ev.CertificateStaged(proof):
                self._proof = proof
            case ev.CertificateIssued(ownership_token=token):
                self._token = token
            case ev.RegistrationFound(thing_name=name):
                self._thing_name = name
            case ev.ThingRegistered(thing_name=name, device_configuration=configuration):
                self._thing_name, self._configuration = name, configuration

    def _give_up(self, before: State, event: Event) -> list[Action]:
        self._forget()
        credential = Credential.CLAIM if before in WITH_CLAIM else Credential.STAGED
        cause = error_of(event, before.value, credential)
        if self._state is S.FAILED:
            return [Fail(cause)]
        refused = isinstance(event, ev.TokenRefused)
        return [*([ForgetStagedCertificate()] if refused else []), WaitBeforeRetry(cause)]

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
        if self._plan.keys_made_by_aws:
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
            name: value.replace("{proof}", self._proof)
            for name, value in self._plan.parameters.items()
        }
        payload = messages.register_thing_request(self._token, parameters)
        return Request(topics.register_thing(self._plan.template_name), payload)

    def _prove(self) -> Publish:
        topic = self._plan.proof_topic.replace("{thing_name}", self._thing_name)
        return Publish(topic, messages.proof_of_identity(self._thing_name))
