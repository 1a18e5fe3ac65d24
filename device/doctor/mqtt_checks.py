"""The checks over MQTT: CONNECT, subscribe, publish, and whether the client id is ours alone.

Nothing is requested of AWS IoT. With a claim nothing is published, since each topic that it may
use makes something; with the device's own certificate the device publishes one message on its
telemetry topic, as it does when it proves its identity.
"""

from typing import Final, NamedTuple

from cryptography import x509
from msgspec.structs import replace

from device.config.methods import METHODS
from device.connection.session import Session
from device.connection.tunnel import PROBE_SECONDS
from device.doctor.case import Case, Held, needed
from device.doctor.finding import DiagnosedError, Finding, SkippedError, failed, ok
from device.doctor.server import http_answer_of
from device.errors.provisioning import NOT_REACHABLE
from device.errors.text import foreign
from device.identity.pem import parse_chain
from device.provisioning import actions as act
from device.provisioning import events as ev
from device.provisioning import messages, topics
from device.provisioning.claim import ClaimPlan
from device.provisioning.events import Credential
from device.provisioning.failures import CAUSES, error_of
from device.storage.element import key_records
from device.storage.keys import TlsIdentity

_ANSWERED: Final = "CONNACK"
_SAID: Final = "DISCONNECT"
_SUFFIX: Final = "-doctor"
_ASK_THE_ACCOUNT: Final = (
    "The device cannot find out more. Run factory explain --serial SERIAL where you can read the "
    "account: it names the reason."
)
_BY_THING: Final = (
    "The policy takes the client id from the thing, and the certificate is not attached to a thing "
    "of this name."
)
_NOT_MQTT: Final = (
    "What answers is not MQTT: a captive portal, a load balancer or another web server, with a "
    "certificate that the device trusts."
)
_FIND_THE_BROKER: Final = (
    "Check the endpoint and its port, and what stands between the device and AWS IoT. This says "
    "nothing about the device's certificate."
)
_BY_AWS: Final = "Amazon Web Services"
"""In the issuer of certificates that AWS IoT signed (docs/aws-iot-facts.md, 2.3)."""


def connect(case: Case) -> Finding:
    """Connect as a boot would; after a refusal try what else can be tried from here."""
    held = _ready(case)
    client_id = client_id_of(case, held)
    session = _opened(case)
    outcome = _connected(case, session, held, client_id)
    if isinstance(outcome, ev.Connected):
        case.session = session
        return ok(f"CONNACK 0 as {client_id} with the {held.credential}")
    if status := _http_instead(case, outcome):
        session.close()
        raise _not_mqtt(case, status)
    if not isinstance(outcome, ev.NotLetIn):
        session.close()
        raise _failed(outcome, "connecting", held)
    other = f"{client_id[: 128 - len(_SUFFIX)]}{_SUFFIX}"
    second = _connected(case, session, held, other)
    session.close()
    leaf = parse_chain(held.chain_pem)[0]
    error = error_of(outcome, "connecting", held.credential)
    why = why_refused(outcome, second, held.credential, client_id, other)
    evidence = f"{error}; as {other}: {_words(second)}; {_facts_of(leaf)}"
    finding = replace(failed(error, *why), evidence=evidence, next_step=_ASK_THE_ACCOUNT)
    raise DiagnosedError(error, finding)


def _http_instead(case: Case, outcome: ev.Event) -> str:
    """Return how a web server answers, where no broker did."""
    if str(getattr(outcome, "detail", "")).startswith(_ANSWERED):
        return ""
    endpoint = needed(case.endpoint, "an endpoint")
    return http_answer_of(endpoint, min(PROBE_SECONDS, case.limits.answer))


def _not_mqtt(case: Case, status: str) -> DiagnosedError:
    problem = f"{case.endpoint} answers HTTP inside TLS: {foreign(status)}"
    error = NOT_REACHABLE.error(problem, step="connecting", next_step=_FIND_THE_BROKER)
    return DiagnosedError(error, failed(error, _NOT_MQTT))


def _ready(case: Case) -> Held:
    """Return the credential to connect with, if a connection changes nothing.

    Raises:
        SkippedError: the check before this one failed, or connecting would change something.
    """
    if case.questions.offline:
        raise SkippedError("asked to stay offline")
    held, plan = needed(case.held, "key and certificate"), needed(case.plan, "settings")
    storage, settings = needed(case.storage, "the storage"), needed(case.settings, "settings")
    if not case.is_reachable:
        raise SkippedError("needs the way to the server")
    method = METHODS[settings.method]
    if held.credential is Credential.INSTALLED and method.just_in_time:
        raise SkippedError(
            "the first connection with this certificate makes AWS IoT register it; doctor changes "
            "nothing: run device boot"
        )
    records = key_records.load(storage.ps)
    if plan.element is not None or (records and held.key in records.active()):
        raise SkippedError(
            "the key is in a secure element; doctor does not log in, because a wrong PIN costs "
            "one of the token's tries: run device boot"
        )
    if case.is_running:
        raise SkippedError(
            "the device is running in another process, and a second connection with its client id "
            "would end the first: stop it to have this checked"
        )
    return held


def client_id_of(case: Case, held: Held) -> str:
    """Return the client id that a boot would use now."""
    machine = needed(case.plan, "settings").machine
    if not isinstance(machine, ClaimPlan):
        return held.thing_name or machine.thing_name
    if held.credential is Credential.CLAIM:
        return machine.claim_client_id
    return held.thing_name or machine.expected_thing_name


def _opened(case: Case) -> Session:
    plan, settings = needed(case.plan, "settings"), needed(case.settings, "settings")
    storage, held = needed(case.storage, "the storage"), needed(case.held, "key and certificate")

    def identity(_: Credential) -> TlsIdentity:
        return storage.keys.tls_identity(held.key, held.chain_pem)

    seconds = min(settings.connection.connect_timeout, case.limits.answer)
    options = replace(settings.connection, connect_timeout=seconds)
    return case.open_session(plan.endpoint, plan.root_ca_pem, identity, options)


def _connected(case: Case, session: Session, held: Held, client_id: str) -> ev.Event:
    session.perform(act.Connect(held.credential, client_id))
    return _outcome(session, case.limits.answer + 5.0)


def _outcome(session: Session, seconds: float) -> ev.Event:
    """Return the next event that is not a message to the device."""
    while True:
        event = session.next_event(seconds)
        if event is None:
            return ev.TimedOut()
        if not isinstance(event, ev.MessageReceived):
            return event


class Refusal(NamedTuple):
    """Why AWS IoT refused a connection, as far as it can be told from the device."""

    cause: str
    suspects: tuple[str, ...]
    """What else it may be, the likeliest first."""


def why_refused(
    first: ev.NotLetIn, second: ev.Event, credential: Credential, client_id: str, other: str
) -> Refusal:
    """Return why AWS IoT refused ``first``.

    ``second`` is what came of a connection that differs in the client id alone: if AWS IoT accepts
    it, the certificate is right. A CONNACK speaks for a policy, and does not prove it: it may come
    for a certificate that is not ACTIVE as well (docs/aws-iot-facts.md, 5.9).
    """
    certificate, policy, *rest = CAUSES[credential]
    if isinstance(second, ev.Connected):
        cause = f"The policy allows iot:Connect as {other}, but not as {client_id}."
        return Refusal(cause, (_BY_THING,))
    if first.detail.startswith(_ANSWERED):
        cause = "No policy that is attached allows iot:Connect, or none is attached."
        return Refusal(cause, (certificate, _BY_THING, *rest))
    elsewhere = [each for each in rest if "another account" in each]
    others = [each for each in rest if each not in elsewhere]
    return Refusal(certificate, (*elsewhere, policy, *others))


def _words(event: ev.Event) -> str:
    if isinstance(event, ev.Connected):
        return "accepted"
    return str(getattr(event, "detail", "") or type(event).__name__)


def _facts_of(leaf: x509.Certificate) -> str:
    issuer = leaf.issuer.rfc4514_string()
    whose = "AWS IoT issued it" if _BY_AWS in issuer else f"issued by {issuer}, not by AWS IoT"
    return f"TLS alone works; the certificate: {whose}"


def subscribe(case: Case) -> Finding:
    """Subscribe to what the method needs, and to what the user asks for."""
    session, held = needed(case.session, "CONNECT"), needed(case.held, "key and certificate")
    filters = (*_replies(case, held), *case.questions.subscribe)
    if not filters:
        raise SkippedError("this device subscribes to nothing; --subscribe FILTER tries one")
    session.perform(act.Subscribe(filters))
    outcome = _outcome(session, case.limits.answer)
    if isinstance(outcome, ev.Subscribed):
        return ok(f"granted: {', '.join(filters)}")
    raise _ended(case, outcome, "subscribing")


def _replies(case: Case, held: Held) -> tuple[str, ...]:
    machine = needed(case.plan, "settings").machine
    if held.credential is not Credential.CLAIM or not isinstance(machine, ClaimPlan):
        return ()
    create = (
        topics.CREATE_KEYS_AND_CERTIFICATE
        if machine.keys_made_by_aws
        else topics.CREATE_CERTIFICATE_FROM_CSR
    )
    register = topics.register_thing(machine.template_name)
    return (*topics.replies(create), *topics.replies(register))


def publish(case: Case) -> Finding:
    """Publish one message at QoS 1 on the telemetry topic."""
    held = needed(case.held, "key and certificate")
    wanted = case.questions.publish
    if wanted is not None and wanted.startswith("$"):
        raise SkippedError(f"a message on {wanted} makes AWS IoT do something")
    if held.credential is Credential.CLAIM and wanted is None:
        raise SkippedError("a claim may publish only what makes a certificate or a thing")
    session = needed(case.session, "CONNECT")
    name = client_id_of(case, held)
    topic = wanted or needed(case.plan, "settings").telemetry_topic
    topic = topic.replace("{thing_name}", name)
    session.perform(act.Publish(topic, messages.proof_of_identity(name)))
    outcome = _outcome(session, case.limits.answer)
    if isinstance(outcome, ev.PublishAcknowledged):
        return ok(f"acknowledged on {topic}")
    raise _ended(case, outcome, f"publishing on {topic}")


def alone(case: Case) -> Finding:
    """Hold the connection for a while: another client with this client id would end it."""
    outcome = _outcome(needed(case.session, "CONNECT"), case.limits.twin)
    if isinstance(outcome, ev.TimedOut):
        return ok(f"nobody took the connection over in {case.limits.twin:.0f} s")
    raise _ended(case, outcome, "holding the connection")


def _ended(case: Case, outcome: ev.Event, step: str) -> Exception:
    """Return the error; a connection that ended is no longer used."""
    if isinstance(outcome, ev.ConnectionLost) and case.session is not None:
        case.session.close()
        case.session = None
    return _failed(outcome, step, needed(case.held, "key and certificate"))


def _failed(outcome: ev.Event, step: str, held: Held) -> DiagnosedError:
    """Return what ``outcome`` says, which is more than the usual causes of its row."""
    error = error_of(outcome, step, held.credential)
    return DiagnosedError(error, failed(error, _cause_of(outcome)))


def _cause_of(outcome: ev.Event) -> str:
    match outcome:
        case ev.SubscriptionDenied(denied):
            return f"No policy allows iot:Subscribe on {', '.join(denied)}."
        case ev.PublishDenied(topic):
            return f"No policy allows iot:Publish on {topic}."
        case ev.ConnectionLost(taken_over=True):
            return "Another client connects with the same client id."
        case ev.ConnectionLost(detail) if not detail.startswith(_SAID):
            why = "It was closed at this packet: no policy allows it, or the network failed"
            return f"{why} ({foreign(detail)})."
        case ev.TimedOut():
            return "AWS IoT, or what answers in its place, is silent."
    return foreign(str(getattr(outcome, "detail", "")))
