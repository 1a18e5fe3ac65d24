"""What has happened: past facts that a machine receives, one at a time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Credential(StrEnum):
    """Which certificate and key a connection is made with."""

    CLAIM = "claim"
    STAGED = "staged certificate"
    DEVICE = "device certificate"


@dataclass(frozen=True)
class Event:
    """A fact. Machines look up the type in their table and the fields afterwards."""


# --- what the storage held when the power came (or when a retry began) -----------------


@dataclass(frozen=True)
class NothingStored(Event):
    """No provisioning step was ever completed."""


@dataclass(frozen=True)
class KeyFound(Event):
    """The device key and its CSR are stored."""

    csr_pem: str


@dataclass(frozen=True)
class StagedCertificateFound(Event):
    """A certificate is staged; its ownership token may still be redeemed."""

    ownership_token: str = field(repr=False)
    proof: str = field(default="", repr=False)


@dataclass(frozen=True)
class ExpiredTokenFound(Event):
    """A certificate is staged, and its ownership token is older than AWS keeps it (1 h)."""

    csr_pem: str | None


@dataclass(frozen=True)
class RegistrationFound(Event):
    """The thing is registered; the staged certificate is still to be proven."""

    thing_name: str
    certificate_id: str


@dataclass(frozen=True)
class CertificateInstalled(Event):
    """The station installed a certificate; nothing was proven with it yet."""

    certificate_id: str


# --- what the device did ----------------------------------------------------------------


@dataclass(frozen=True)
class KeyGenerated(Event):
    """The device key and its CSR are durable."""

    csr_pem: str


@dataclass(frozen=True)
class CertificateStaged(Event):
    """The issued certificate passed every check and is durable, with its token."""

    proof: str = field(default="", repr=False)
    """What a pre-provisioning hook can check, where the station gave the device a proof key."""


@dataclass(frozen=True)
class CertificateUnacceptable(Event):
    """The issued certificate failed a check; nothing of it was stored."""

    problem: str


@dataclass(frozen=True)
class IdentityPromoted(Event):
    """The proven certificate is the device's identity."""

    claim_destroyed: bool


# --- what the connection did --------------------------------------------------------------


@dataclass(frozen=True)
class Connected(Event):
    """CONNACK said yes."""

    credential: Credential


@dataclass(frozen=True)
class NotLetIn(Event):
    """The server was reached and refused us: hang-up, TLS alert or CONNACK 'not authorized'."""

    detail: str


@dataclass(frozen=True)
class ConnectFailed(Event):
    """The server was not reached, is not the one we trust, or was too busy."""

    detail: str
    next_step: str = ""


@dataclass(frozen=True)
class ConnectionLost(Event):
    """An established connection ended, and not by us."""

    detail: str


@dataclass(frozen=True)
class Disconnected(Event):
    """The connection is closed because we closed it."""


@dataclass(frozen=True)
class Subscribed(Event):
    """SUBACK granted every topic filter."""


@dataclass(frozen=True)
class SubscriptionDenied(Event):
    """SUBACK refused at least one topic filter."""

    topics: tuple[str, ...]


@dataclass(frozen=True)
class PublishAcknowledged(Event):
    """PUBACK said yes."""


@dataclass(frozen=True)
class PublishDenied(Event):
    """PUBACK said no: the policy does not allow this topic."""

    topic: str


@dataclass(frozen=True)
class MessageReceived(Event):
    """A PUBLISH came in; `messages.decode` says what it means."""

    topic: str
    payload: bytes = field(repr=False)


@dataclass(frozen=True)
class TimedOut(Event):
    """The state's time ran out without an event."""


# --- what the cloud answered ----------------------------------------------------------------


@dataclass(frozen=True)
class CertificateIssued(Event):
    """CreateCertificateFromCsr or CreateKeysAndCertificate was accepted."""

    certificate_id: str
    certificate_pem: str = field(repr=False)
    ownership_token: str = field(repr=False)
    private_key_pem: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class ThingRegistered(Event):
    """RegisterThing was accepted."""

    thing_name: str
    device_configuration: Mapping[str, str]


@dataclass(frozen=True)
class Rejection(Event):
    """A request was rejected; the three fields are AWS's own, verbatim."""

    operation: str
    status_code: int
    error_code: str
    error_message: str


@dataclass(frozen=True)
class RequestDenied(Rejection):
    """403: the hook or a policy said no. Asking again will not help."""


@dataclass(frozen=True)
class RequestRefused(Rejection):
    """4xx: the request, the template or the parameters are wrong."""


@dataclass(frozen=True)
class TokenRefused(Rejection):
    """The ownership token is unknown, used up or expired."""


@dataclass(frozen=True)
class RequestThrottled(Rejection):
    """429 or 5xx: the same request may succeed later."""


@dataclass(frozen=True)
class ReplyMalformed(Event):
    """A reply could not be understood."""

    operation: str
    problem: str
