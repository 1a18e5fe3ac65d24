"""What has happened: past facts that a machine receives, one at a time."""

from collections.abc import Mapping
from enum import StrEnum

from device.provisioning.record import Record


class Credential(StrEnum):
    """Which certificate and key a connection is made with."""

    CLAIM = "claim certificate"
    INSTALLED = "installed certificate"
    STAGED = "staged certificate"
    DEVICE = "device certificate"
    BIRTH = "birth certificate"
    TRIAL = "device certificate, to prove new trust anchors"
    """The one of `DEVICE`; the connection trusts the staged anchors alone."""


class Event(Record, frozen=True):
    """A fact. Machines look up the type in their table and the fields afterwards."""


# --- what the storage held when the power came (or when a retry began) -----------------


class NothingStored(Event, frozen=True):
    """No provisioning step was ever completed."""


class KeyFound(Event, frozen=True):
    """The device key and its CSR are stored."""

    csr_pem: str


class StagedCertificateFound(Event, frozen=True):
    """A certificate is staged; whether its thing is registered is not known."""

    ownership_token: str
    """Presented again however old it is: AWS knows its age, and our clock may be wrong."""
    proof: str = ""
    certificate_id: str = ""
    given_up: tuple[str, ...] = ()


class RegistrationFound(Event, frozen=True):
    """The thing is registered; the staged certificate is still to be proven."""

    thing_name: str
    certificate_id: str
    ownership_token: str = ""
    """Kept, so that AWS can refuse it in words should it not know the certificate any more."""
    proof: str = ""
    given_up: tuple[str, ...] = ()


class StagedCertificateDoubted(Event, frozen=True):
    """A certificate is staged, and there is enough evidence that the cloud does not know it."""

    certificate_id: str
    thing_name: str = ""
    """Empty when the thing was never known to be registered."""


class ClockFoundBehind(Event, frozen=True):
    """The certificate that was just issued, and is staged, is not yet valid by our clock."""

    now: float
    """Seconds since the epoch, by this device's clock."""
    not_before: float


class CertificateInstalled(Event, frozen=True):
    """The station installed a certificate; nothing was proven with it yet."""

    certificate_id: str
    not_before: float | None = None
    """From when it is valid, where this device's clock says that this is still to come."""
    now: float = 0.0
    """Seconds since the epoch, by that clock."""


# --- what the device did ----------------------------------------------------------------


class KeyGenerated(Event, frozen=True):
    """The device key and its CSR are durable."""

    csr_pem: str


class CertificateStaged(Event, frozen=True):
    """The issued certificate passed every check and is durable, with its token."""

    proof: str = ""
    """What a pre-provisioning hook can check, where the station gave the device a proof key."""
    given_up: tuple[str, ...] = ()
    """Certificates that this device gave up, for the cloud to retire."""


class CertificateUnacceptable(Event, frozen=True):
    """The issued certificate failed a check; nothing of it was stored."""

    problem: str


class IdentityPromoted(Event, frozen=True):
    """The proven certificate is the device's identity."""

    claim_destroyed: bool


# --- what the connection did --------------------------------------------------------------


class Connected(Event, frozen=True):
    """CONNACK said yes."""

    credential: Credential
    session_present: bool = False
    """Whether the server kept this client's session: its subscriptions, and what they brought."""


class NotLetIn(Event, frozen=True):
    """The server itself refused us: it answered no, or closed after TLS was complete.

    An answer is a CONNACK such as 'not authorized', or a TLS alert at our certificate. Whatever
    ends a connection before TLS is complete is `ConnectFailed`: anybody on the way can do that.
    """

    detail: str


class ConnectFailed(Event, frozen=True):
    """The server was not reached, is not the one we trust, or was too busy."""

    detail: str
    next_step: str = ""


class ConnectionLost(Event, frozen=True):
    """An established connection ended, and not by us."""

    detail: str
    next_step: str = ""
    taken_over: bool = False
    """Whether the server said that another client came with the same client id."""


class Disconnected(Event, frozen=True):
    """The connection is closed because we closed it."""


class Subscribed(Event, frozen=True):
    """SUBACK granted every topic filter."""


class SubscriptionDenied(Event, frozen=True):
    """SUBACK refused at least one topic filter."""

    topics: tuple[str, ...]


class NotAcknowledged(Event, frozen=True):
    """SUBACK or PUBACK said no, and not because of a policy: busy, over a quota, misuse."""

    detail: str
    next_step: str
    may_succeed_later: bool


class PublishAcknowledged(Event, frozen=True):
    """PUBACK said yes."""

    ticket: int = 0
    """That of the `Publish` which it answers."""


class PublishDenied(Event, frozen=True):
    """PUBACK said no: the policy does not allow this topic."""

    topic: str


class MessageReceived(Event, frozen=True):
    """A PUBLISH came in; `messages.decode` says what it means."""

    topic: str
    payload: bytes


class TimedOut(Event, frozen=True):
    """The state's time ran out without an event."""


# --- what the cloud answered ----------------------------------------------------------------


class CertificateIssued(Event, frozen=True):
    """CreateCertificateFromCsr or CreateKeysAndCertificate was accepted."""

    certificate_id: str
    certificate_pem: str
    ownership_token: str
    private_key_pem: str | None = None


class ThingRegistered(Event, frozen=True):
    """RegisterThing was accepted."""

    thing_name: str
    device_configuration: Mapping[str, str]


class UnexpectedThingNamed(Event, frozen=True):
    """RegisterThing was accepted, and named another thing than the settings expect."""

    expected: str
    named: str


class Rejection(Event, frozen=True):
    """A request was rejected; the three fields are AWS's own, verbatim."""

    operation: str
    status_code: int
    error_code: str
    error_message: str


class RequestDenied(Rejection, frozen=True):
    """403: the hook or a policy said no. Asking again will not help."""


class RequestRefused(Rejection, frozen=True):
    """4xx: the request, the template or the parameters are wrong."""


class TokenRefused(Rejection, frozen=True):
    """The ownership token is unknown, used up or expired."""


class RequestThrottled(Rejection, frozen=True):
    """429 or 5xx: the same request may succeed later."""


class ReplyMalformed(Event, frozen=True):
    """A reply could not be understood."""

    operation: str
    problem: str
    next_step: str = ""
