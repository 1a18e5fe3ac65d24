"""AWS IoT Core in memory, as far as provisioning sees it: registry, policy, replies, faults.

A test edits its fields, lets a device talk to it through `SimulatedSession`, and then looks
at the registry. It speaks the same fault vocabulary as the local AWS (docs/local-aws.md),
so a scenario reads the same in memory and over TLS.
"""

import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from device.identity.certificates import certificate_id, leaf_of, validity
from device.provisioning import actions as act
from device.provisioning import events as ev
from device.provisioning import topics
from device.provisioning.topics import Operation
from tests.support.certificates import PublicKey
from tests.support.clock import FakeClock

TOKEN_SECONDS = 3600.0
CUT_BEFORE_TLS = ("cut-at-hello", "cut-after-hello")
CUT_AFTER_TLS = ("cut-after-tls", "cut-at-connect")
"""Faults of a connection; their ``operation`` may be the client id."""
SHORT = {
    Operation.CREATE_KEYS_AND_CERTIFICATE: "create",
    Operation.CREATE_CERTIFICATE_FROM_CSR: "create-from-csr",
    Operation.REGISTER_THING: "provision",
}


@dataclass
class Certificate:
    """A registered certificate."""

    pem: str
    status: str
    thing: str | None = None
    changed_at: float = 0.0
    """When its status was changed last, by the cloud's clock."""


@dataclass
class Fault:
    """Strikes ``count`` times (None: always) where ``kind`` and ``operation`` fit."""

    kind: str
    operation: str = "*"
    count: int | None = 1
    fields: dict[str, Any] = field(default_factory=dict)


class SimulatedCloud:
    """One account in one Region."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.root: bytes | None = None
        """What must be among the trust anchors of a device; None: nobody looks at them."""
        self.certificates: dict[str, Certificate] = {}
        self.things: dict[str, dict[str, str]] = {}
        self.tokens: dict[str, tuple[str, float]] = {}
        self.dress: Callable[[str], str] = str
        """What a certificate looks like in the reply that brings it."""
        self.provider: Callable[[PublicKey, x509.Name], str] | None = None
        """The account's certificate provider: what signs for a CSR in the place of AWS IoT."""
        self.used_tokens_are_refused = False
        """AWS does not document what a second RegisterThing with one token does."""
        self.hook_allows_each_serial_once = False
        self.device_configuration: dict[str, str] = {"greeting": "hello"}
        self.template_enabled = True
        self.attaches_policy = True
        self.thing_name_prefix = ""
        """What the template puts before the serial number."""
        self.everything_issued: dict[str, str] = {}
        """PEMs by id, of certificates that were deleted as well."""
        self.parameters: list[dict[str, str]] = []
        """What each RegisterThing sent."""
        self.faults: list[Fault] = []
        self.published: list[tuple[str, str, bytes]] = []
        self.connects: list[tuple[float, str]] = []
        self.sessions: dict[str, SimulatedSession] = {}
        self.peak_sessions = 0
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._issued = 0
        self.clock_ahead = 0.0
        """Seconds that the cloud's clock is ahead of the device's."""
        self.claim_pem, self.claim_key_pem = self._issue_claim()
        self.claim_id = certificate_id(self.claim_pem.encode())
        self.renewal = SimulatedRenewals(self)
        self.recovery = SimulatedRecovery(self)
        self.activation_delay: float | None = None
        """Seconds that a just-in-time method takes after the first connection; None is never."""
        self._unknown: dict[str, float] = {}

    # --- for tests ---------------------------------------------------------------------

    def fault(self, kind: str, **fields: Any) -> None:
        """Switch a fault on."""
        operation, count = fields.pop("operation", "*"), fields.pop("count", 1)
        self.faults.append(Fault(kind, operation, count, fields))

    def restart_broker(self) -> None:
        """Break every connection at once."""
        for session in list(self.sessions.values()):
            session.lose()

    def active_certificates(self, thing: str) -> list[str]:
        """Return the ids of the ACTIVE certificates attached to ``thing``."""
        return [
            identifier
            for identifier, certificate in self.certificates.items()
            if certificate.thing == thing and certificate.status == "ACTIVE"
        ]

    def deactivate(self, identifier: str, status: str = "INACTIVE") -> None:
        """Set a certificate INACTIVE or REVOKED, as someone may by mistake."""
        certificate = self.certificates[identifier]
        certificate.status, certificate.changed_at = status, self.clock.wall()

    def delete_certificates(self, thing: str) -> None:
        """Lose every certificate of ``thing``, as someone may who tidies up."""
        for identifier, certificate in list(self.certificates.items()):
            if certificate.thing == thing:
                del self.certificates[identifier]

    def issued(self) -> list[str]:
        """Return the ids of all certificates but the claim's, of any status."""
        return [each for each in self.certificates if each != self.claim_id]

    def age_tokens(self, seconds: float) -> None:
        """Let time pass for the cloud: AWS deletes what was not registered within the hour."""
        self.clock.advance(seconds)
        self.drop_expired_tokens()

    def drop_expired_tokens(self) -> None:
        """Delete tokens past their hour, with the certificates nobody registered."""
        for token, (identifier, issued) in list(self.tokens.items()):
            if self.clock.monotonic() - issued > TOKEN_SECONDS:
                del self.tokens[token]
                known = self.certificates.get(identifier)
                if known is not None and known.status == "PENDING_ACTIVATION":
                    del self.certificates[identifier]

    # --- what a session asks -------------------------------------------------------------

    def take(self, kind: str, operation: str = "*") -> Fault | None:
        """Use up one strike of a fault that fits, if there is one."""
        for fault in self.faults:
            if fault.kind == kind and fault.operation in {"*", operation}:
                if fault.count is not None:
                    fault.count -= 1
                    if fault.count == 0:
                        self.faults.remove(fault)
                return fault
        return None

    def issue_leaf(self, public_key: Any, common_name: str) -> str:
        """Return a certificate that the cloud does not know yet, of a CA that it knows."""
        return self._sign(public_key, _name(common_name))

    def register_leaf(self, pem: str, thing: str, status: str = "ACTIVE") -> None:
        """Register a certificate and its thing beforehand."""
        self.certificates[certificate_id(pem.encode())] = Certificate(pem, status, thing)
        self.things[thing] = {}

    def meet(self, pem: str, client_id: str) -> None:
        """Register a certificate of the known CA on the connection that presents it."""
        identifier = certificate_id(pem.encode())
        if self.activation_delay is None or identifier in self.certificates:
            return
        ready = self._unknown.setdefault(identifier, self.clock.monotonic() + self.activation_delay)
        if self.clock.monotonic() > ready:
            self.register_leaf(pem, client_id)

    def lets_in(self, identifier: str, client_id: str) -> bool:
        """Whether a certificate may connect under ``client_id``."""
        certificate = self.certificates.get(identifier)
        if certificate is None or certificate.status != "ACTIVE":
            return False
        if validity(certificate.pem.encode())[1] < self.clock.wall() + self.clock_ahead:
            return False
        if identifier in self.recovery.births:
            return client_id == f"recover-{self.recovery.births[identifier]}"
        if certificate.thing is None:
            return client_id.startswith("claim-")
        if self.renewal.refuses_new_ones and identifier in self.renewal.registered:
            return False
        names = {certificate.thing, f"renew-{certificate.thing}"}
        return self.attaches_policy and client_id in names

    def answer(self, operation: Operation, payload: bytes) -> tuple[str, dict[str, Any]]:
        """Do what is asked; return the reply's suffix and document."""
        if (fault := self.take("reject", SHORT[operation])) is not None:
            return _rejected(
                fault.fields.get("status_code", 500),
                fault.fields.get("error_code", "InternalFailure"),
                fault.fields.get("error_message", "A fault was switched on."),
            )
        request = json.loads(payload)
        match operation:
            case Operation.CREATE_CERTIFICATE_FROM_CSR:
                csr = x509.load_pem_x509_csr(request["certificateSigningRequest"].encode())
                sign = self.provider or self._sign
                public_key = csr.public_key()
                assert isinstance(public_key, PublicKey)
                return "accepted", self._issue(sign(public_key, csr.subject))
            case Operation.CREATE_KEYS_AND_CERTIFICATE:
                key = ec.generate_private_key(ec.SECP256R1())
                subject = _name("AWS IoT Certificate")
                return "accepted", self._issue(self._sign(key.public_key(), subject)) | {
                    "privateKey": _pem_of(key)
                }
            case Operation.REGISTER_THING:
                return self._register_thing(request)

    # --- inside ----------------------------------------------------------------------------

    def _register_thing(self, request: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        if not self.template_enabled:
            return _rejected(400, "InvalidTemplate", "Template firstboot-claim is not enabled.")
        self.parameters.append(request["parameters"])
        self.drop_expired_tokens()
        found = self.tokens.get(request["certificateOwnershipToken"])
        if found is None or found[0] not in self.certificates:
            return _refused_token()
        if "ThingName" in request["parameters"]:
            return self.renewal.register(request["parameters"]["ThingName"], found[0])
        serial = request["parameters"].get("SerialNumber")
        if serial is None:
            message = "Cannot resolve reference value: SerialNumber"
            return _rejected(400, "InvalidParameters", message)
        if serial in self.things and self.hook_allows_each_serial_once:
            return _rejected(403, "AccessDenied", "Access Denied")
        certificate = self.certificates[found[0]]
        name = self.thing_name_prefix + serial
        certificate.thing, certificate.status = name, "ACTIVE"
        self.things[name] = {}
        if self.used_tokens_are_refused:
            del self.tokens[request["certificateOwnershipToken"]]
        reply = {"thingName": name, "deviceConfiguration": self.device_configuration}
        return "accepted", reply

    def _issue(self, pem: str) -> dict[str, Any]:
        self._issued += 1
        identifier, token = certificate_id(pem.encode()), f"token-{self._issued}-" + "x" * 450
        self.everything_issued[identifier] = pem
        self.certificates[identifier] = Certificate(pem, "PENDING_ACTIVATION")
        self.tokens[token] = (identifier, self.clock.monotonic())
        return {
            "certificateId": identifier,
            "certificatePem": self.dress(pem),
            "certificateOwnershipToken": token,
        }

    def _issue_claim(self) -> tuple[str, str]:
        key = ec.generate_private_key(ec.SECP256R1())
        pem = self._sign(key.public_key(), _name("claim"))
        self.certificates[certificate_id(pem.encode())] = Certificate(pem, "ACTIVE")
        return pem, _pem_of(key)

    def _sign(self, public_key: Any, subject: x509.Name) -> str:
        now = self.clock.wall() + self.clock_ahead
        start = datetime.fromtimestamp(now, UTC) - timedelta(minutes=2)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(_name("AWS IoT stand-in"))
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC))
            .sign(self._key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM).decode()


class SimulatedRenewals:
    """The renewal template, and the rule with its Lambda (lambdas/renewal.py)."""

    def __init__(self, cloud: SimulatedCloud) -> None:
        self._cloud = cloud
        self.registered: set[str] = set()
        """Ids of the certificates that renewals registered."""
        self.refuses_new_ones = False
        """No such certificate is let in, as when the template attaches no policy."""
        self.refusal = ""
        """Why the Lambda does not confirm a certificate."""
        self.is_silent = False
        """The rule or the Lambda is missing: nobody answers."""
        self.renames_to = ""
        """The thing that a wrong template registers."""

    def register(self, thing: str, identifier: str) -> tuple[str, dict[str, Any]]:
        """RegisterThing by the renewal template."""
        certificate = self._cloud.certificates[identifier]
        certificate.thing, certificate.status = self.renames_to or thing, "ACTIVE"
        self.registered.add(identifier)
        return "accepted", {"thingName": certificate.thing, "deviceConfiguration": {}}

    def answer(self, thing: str, principal: str, asked: dict[str, Any]) -> dict[str, Any] | None:
        """What the Lambda answers to ``principal``."""
        seen = self._cloud.certificates[principal]
        if self.is_silent or seen.thing != thing:
            return None
        if asked["step"] == "prove":
            step = "refused" if self.refusal else "confirmed"
            return {"step": step, "certificateId": principal, "reason": self.refusal}
        if asked["replaces"] == principal:
            return {"step": "refused", "certificateId": principal, "reason": "not itself"}
        retired = self._cloud.certificates.get(asked["replaces"])
        if retired is not None and retired.thing == thing:
            retired.status, retired.thing = "INACTIVE", None
        return {"step": "retired", "certificateId": asked["replaces"]}


class SimulatedRecovery:
    """The recovery template with its hook (lambdas/recovery_hook.py)."""

    def __init__(self, cloud: SimulatedCloud) -> None:
        self._cloud = cloud
        self.window = 30 * 86_400.0
        """Seconds after a certificate's end in which its device may come back."""
        self.births: dict[str, str] = {}
        """The thing of each birth certificate, by id."""
        self.audit: list[tuple[str, bool]] = []
        """What was decided: the thing, and whether it may come back."""

    def give_birth_certificate(self, thing: str) -> tuple[str, str]:
        """Return a birth certificate for ``thing`` and its key, as PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        pem = self._cloud.issue_leaf(key.public_key(), thing)
        identifier = certificate_id(pem.encode())
        self._cloud.certificates[identifier] = Certificate(pem, "ACTIVE")
        self.births[identifier] = thing
        return pem, _pem_of(key)

    def answer(self, principal: str, payload: bytes) -> tuple[str, dict[str, Any]]:
        """RegisterThing by the recovery template."""
        request = json.loads(payload)
        thing, token = request["parameters"]["ThingName"], request["certificateOwnershipToken"]
        found = self._cloud.tokens.get(token)
        if found is None or found[0] not in self._cloud.certificates:
            return _refused_token()
        may = self.births.get(principal) == thing and self._is_in_window(thing, found[0])
        self.audit.append((thing, may))
        if not may:
            return _rejected(403, "AccessDenied", "Access Denied")
        return self._cloud.renewal.register(thing, found[0])

    def _is_in_window(self, thing: str, new: str) -> bool:
        now = self._cloud.clock.wall()
        others = [
            each for name, each in self._cloud.certificates.items()
            if each.thing == thing and name != new
        ]  # fmt: skip
        ends = [self._ended_at(each) for each in others]
        return bool(ends) and all(0 < now - ended <= self.window for ended in ends)

    def _ended_at(self, certificate: Certificate) -> float:
        if certificate.status == "ACTIVE":
            return validity(certificate.pem.encode())[1]
        return certificate.changed_at if certificate.status == "INACTIVE" else 0.0


class SimulatedSession:
    """A `Session` with `SimulatedCloud`; time passes only when a device waits."""

    def __init__(self, cloud: SimulatedCloud, tls_identity: Any, trusts: bytes = b"") -> None:
        self._cloud = cloud
        self._trusts = trusts
        self._tls_identity = tls_identity
        self._events: deque[ev.Event] = deque()
        self._client_id: str | None = None
        self._principal = ""
        self._subscriptions: set[str] = set()
        self.orders: list[act.Action] = []

    def perform(self, action: act.Action) -> None:
        self.orders.append(action)
        match action:
            case act.Connect():
                self._connect(action)
            case act.Subscribe(names):
                self._subscriptions.update(names)
                self._events.append(ev.Subscribed())
            case act.Request(topic, payload):
                self._request(topic, payload)
            case act.Publish(topic, payload, ticket):
                self._publish(topic, payload, ticket)
            case act.Disconnect():
                self.close()
                self._events.append(ev.Disconnected())

    def next_event(self, timeout: float | None) -> ev.Event | None:
        if self._events:
            return self._events.popleft()
        assert timeout is not None, "the device waits for ever for nothing"
        self._cloud.clock.advance(timeout)
        return None

    def close(self) -> None:
        if self._client_id is not None:
            self._cloud.sessions.pop(self._client_id, None)
        self._client_id = None
        self._subscriptions.clear()
        self._events.clear()

    def trust(self, root_ca_pem: bytes) -> None:
        self._trusts = root_ca_pem

    def request_stop(self) -> None:
        raise NotImplementedError

    def _connect(self, order: act.Connect) -> None:
        self.close()
        identity = self._tls_identity(order.credential)
        cloud = self._cloud
        cloud.connects.append((cloud.clock.monotonic(), order.client_id))
        if cloud.root is not None and cloud.root not in self._trusts:
            self._events.append(ev.ConnectFailed("a CA that is not in root_ca signed for it"))
            return
        if cloud.take("unreachable"):
            self._events.append(ev.ConnectFailed("nothing listens here"))
            return
        if any(cloud.take(kind, order.client_id) for kind in CUT_BEFORE_TLS):
            self._events.append(ev.ConnectFailed("closed before TLS was complete"))
            return
        if any(cloud.take(kind, order.client_id) for kind in CUT_AFTER_TLS):
            self._events.append(ev.NotLetIn("hang-up"))
            return
        if cloud.take("silent-connect"):
            return
        leaf = leaf_of(identity.certificate_pem)
        cloud.meet(leaf.decode(), order.client_id)
        if cloud.lets_in(certificate_id(leaf), order.client_id):
            self._client_id, self._principal = order.client_id, certificate_id(leaf)
            cloud.sessions[order.client_id] = self
            cloud.peak_sessions = max(cloud.peak_sessions, len(cloud.sessions))
            self._events.append(ev.Connected(order.credential))
        else:
            self._events.append(ev.NotLetIn("CONNACK 0x87 not authorized"))

    def _request(self, topic: str, payload: bytes) -> None:
        if topic.startswith("firstboot/renewal/"):
            self._ask_about_renewal(topic, payload)
            return
        operation = topics.operation_of(topic)
        assert operation is not None, topic
        if self._cloud.take("cut-before-request", SHORT[operation]):
            self.lose()
            return
        if "firstboot-recovery" in topic:
            suffix, document = self._cloud.recovery.answer(self._principal, payload)
        else:
            suffix, document = self._cloud.answer(operation, payload)
        if self._cloud.take("cut-before-reply", SHORT[operation]):
            self.lose()
        elif self._cloud.take("drop-reply", SHORT[operation]):
            return
        elif (fault := self._cloud.take("stray", SHORT[operation])) is not None:
            self._events.append(ev.MessageReceived(fault.fields["topic"], fault.fields["payload"]))
            self._deliver(f"{topic}/{suffix}", json.dumps(document).encode())
        elif (fault := self._cloud.take("garbage", SHORT[operation])) is not None:
            self._deliver(f"{topic}/{suffix}", fault.fields["payload"])
        else:
            self._deliver(f"{topic}/{suffix}", json.dumps(document).encode())
            if self._cloud.take("duplicate-reply", SHORT[operation]):
                self._deliver(f"{topic}/{suffix}", json.dumps(document).encode())

    def _ask_about_renewal(self, topic: str, payload: bytes) -> None:
        cloud, asked = self._cloud, json.loads(payload)
        thing = topic.split("/")[2]
        operation = asked["step"]
        if cloud.take("cut-before-request", operation):
            self.lose()
            return
        if cloud.take("deny-publish", operation):
            self._events.append(ev.PublishDenied(topic))
            return
        answer = cloud.renewal.answer(thing, self._principal, asked)
        if cloud.take("cut-before-reply", operation):
            self.lose()
        elif answer is None or cloud.take("drop-reply", operation):
            return
        else:
            if (fault := cloud.take("another-answer", operation)) is not None:
                answer |= fault.fields
            self._deliver(f"firstboot/renewal/{thing}/cloud", json.dumps(answer).encode())

    def _publish(self, topic: str, payload: bytes, ticket: int) -> None:
        client_id = self._client_id
        thing = (client_id or "").removeprefix("renew-")
        if client_id is None or self._cloud.take("cut-on-publish", client_id):
            self.lose()
        elif self._cloud.take("taken-over", client_id):
            self.close()
            self._events.append(ev.ConnectionLost("DISCONNECT 0x8E", taken_over=True))
        elif self._cloud.take("no-puback", client_id):
            return
        elif topic.startswith((f"$aws/things/{thing}/", f"$aws/commands/things/{thing}/")):
            self._events.append(
                ev.PublishAcknowledged(ticket)
            )  # there is no shadow, job or command
        elif topic != f"dt/{client_id}/telemetry" or self._cloud.take("deny-publish"):
            self._events.append(ev.PublishDenied(topic))
        else:
            self._cloud.published.append((client_id, topic, payload))
            self._events.append(ev.PublishAcknowledged(ticket))

    def _deliver(self, topic: str, payload: bytes) -> None:
        if topic in self._subscriptions:
            self._events.append(ev.MessageReceived(topic, payload))

    def lose(self) -> None:
        """Break the connection."""
        self.close()
        self._events.append(ev.ConnectionLost("the fault cut it"))


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _pem_of(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def _rejected(status: int, code: str, message: str) -> tuple[str, dict[str, Any]]:
    return "rejected", {"statusCode": status, "errorCode": code, "errorMessage": message}


def _refused_token() -> tuple[str, dict[str, Any]]:
    message = "Certificate ownership token is invalid."
    return _rejected(400, "InvalidCertificateOwnershipToken", message)
