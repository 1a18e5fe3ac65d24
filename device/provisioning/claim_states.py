"""The states of fleet provisioning by claim, and every legal transition between them.

A state says what the device waits for. Four rows of failures are shared, then the table
reads from top to bottom as the flow goes. The diagram in the docs is made from it.
"""

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final

from device.provisioning import events as ev
from device.provisioning.events import Event
from device.provisioning.machine import Transitions


class State(Enum):
    """What the device waits for; the value is how a person would say it."""

    AWAITING_POWER = "waiting for power"
    GENERATING_KEY = "making the device key"
    CONNECTING_TO_REQUEST = "connecting with the claim"
    SUBSCRIBING_TO_REQUEST = "subscribing to the replies"
    REQUESTING_CERTIFICATE = "asking for a certificate"
    STAGING_CERTIFICATE = "checking and storing the certificate"
    REGISTERING_THING = "registering the thing"
    PROBING_STAGED_CERTIFICATE = "trying the staged certificate"
    CONNECTING_TO_REGISTER = "connecting with the claim, to use the saved token"
    SUBSCRIBING_TO_REGISTER = "subscribing to the reply"
    REDEEMING_SAVED_TOKEN = "registering the thing with the saved token"  # noqa: S105
    CLOSING_CLAIM_CONNECTION = "closing the claim connection"
    CONNECTING_AS_DEVICE = "connecting as the device"
    PROVING_IDENTITY = "proving the identity"
    PROMOTING_CERTIFICATE = "promoting the certificate"
    PROBING_DOUBTED_CERTIFICATE = "trying the staged certificate one last time"
    WAITING_TO_RETRY = "waiting to try again"
    PROVISIONED = "provisioned"
    FAILED = "stopped"


S = State
Row = Mapping[type[Event], State]
_RETRY: Final[Row] = {
    ev.NotLetIn: S.WAITING_TO_RETRY,
    ev.ConnectFailed: S.WAITING_TO_RETRY,
    ev.ConnectionLost: S.WAITING_TO_RETRY,
    ev.TimedOut: S.WAITING_TO_RETRY,
}
_IN_SESSION: Final[Row] = {
    ev.ConnectionLost: S.WAITING_TO_RETRY,
    ev.TimedOut: S.WAITING_TO_RETRY,
    ev.NotAcknowledged: S.WAITING_TO_RETRY,
    ev.SubscriptionDenied: S.FAILED,
    ev.PublishDenied: S.FAILED,
}
_ASKING: Final[Row] = {
    **_IN_SESSION,
    ev.ReplyMalformed: S.WAITING_TO_RETRY,
    ev.RequestThrottled: S.WAITING_TO_RETRY,
    ev.RequestDenied: S.FAILED,
    ev.RequestRefused: S.FAILED,
    ev.TokenRefused: S.WAITING_TO_RETRY,
}
_REGISTERING: Final[Row] = {
    **_ASKING,
    ev.ThingRegistered: S.CLOSING_CLAIM_CONNECTION,
    ev.UnexpectedThingNamed: S.FAILED,
}
_RESUME: Final[Row] = {
    ev.NothingStored: S.GENERATING_KEY,
    ev.KeyFound: S.CONNECTING_TO_REQUEST,
    ev.StagedCertificateFound: S.PROBING_STAGED_CERTIFICATE,
    ev.RegistrationFound: S.PROBING_STAGED_CERTIFICATE,
    ev.StagedCertificateDoubted: S.PROBING_DOUBTED_CERTIFICATE,
}

TRANSITIONS: Final[Transitions[State]] = MappingProxyType(
    {
        S.AWAITING_POWER: _RESUME,
        S.GENERATING_KEY: {ev.KeyGenerated: S.CONNECTING_TO_REQUEST},
        S.CONNECTING_TO_REQUEST: {**_RETRY, ev.Connected: S.SUBSCRIBING_TO_REQUEST},
        S.SUBSCRIBING_TO_REQUEST: {**_IN_SESSION, ev.Subscribed: S.REQUESTING_CERTIFICATE},
        S.REQUESTING_CERTIFICATE: {**_ASKING, ev.CertificateIssued: S.STAGING_CERTIFICATE},
        S.STAGING_CERTIFICATE: {
            ev.CertificateStaged: S.REGISTERING_THING,
            ev.ClockFoundBehind: S.WAITING_TO_RETRY,
            ev.CertificateUnacceptable: S.FAILED,
        },
        S.REGISTERING_THING: _REGISTERING,
        S.PROBING_STAGED_CERTIFICATE: {
            **_RETRY,
            ev.Connected: S.PROVING_IDENTITY,
            ev.NotLetIn: S.CONNECTING_TO_REGISTER,
        },
        S.CONNECTING_TO_REGISTER: {**_RETRY, ev.Connected: S.SUBSCRIBING_TO_REGISTER},
        S.SUBSCRIBING_TO_REGISTER: {**_IN_SESSION, ev.Subscribed: S.REDEEMING_SAVED_TOKEN},
        S.REDEEMING_SAVED_TOKEN: {
            **_REGISTERING,
            # The registration may stand already: its certificate is worth more tries.
            ev.RequestDenied: S.WAITING_TO_RETRY,
            ev.RequestRefused: S.WAITING_TO_RETRY,
        },
        S.CLOSING_CLAIM_CONNECTION: {
            ev.Disconnected: S.CONNECTING_AS_DEVICE,
            ev.ConnectionLost: S.CONNECTING_AS_DEVICE,
            ev.TimedOut: S.WAITING_TO_RETRY,
        },
        S.CONNECTING_AS_DEVICE: {**_RETRY, ev.Connected: S.PROVING_IDENTITY},
        S.PROVING_IDENTITY: {**_IN_SESSION, ev.PublishAcknowledged: S.PROMOTING_CERTIFICATE},
        S.PROMOTING_CERTIFICATE: {ev.IdentityPromoted: S.PROVISIONED},
        S.PROBING_DOUBTED_CERTIFICATE: {**_RETRY, ev.Connected: S.PROVING_IDENTITY},
        S.WAITING_TO_RETRY: _RESUME,
        S.PROVISIONED: {},
        S.FAILED: {},
    }
)

# With keys made by AWS there is no key before the certificate: ask at once.
TRANSITIONS_WITH_AWS_KEYS: Final[Transitions[State]] = MappingProxyType(
    dict(TRANSITIONS)
    | {
        resumed: {**_RESUME, ev.NothingStored: S.CONNECTING_TO_REQUEST}
        for resumed in (S.AWAITING_POWER, S.WAITING_TO_RETRY)
    }
)
"""The rows that differ: a device that stores nothing has no key to make."""


def without_a_claim(table: Transitions[State]) -> Transitions[State]:
    """Return ``table`` for a device without a claim: it tries a refused certificate again."""
    probing: Row = {**table[S.PROBING_STAGED_CERTIFICATE], ev.NotLetIn: S.WAITING_TO_RETRY}
    return MappingProxyType({**table, S.PROBING_STAGED_CERTIFICATE: probing})


PROBING: Final = frozenset({S.PROBING_STAGED_CERTIFICATE, S.PROBING_DOUBTED_CERTIFICATE})
CONNECTING: Final = PROBING | {
    S.CONNECTING_TO_REQUEST,
    S.CONNECTING_TO_REGISTER,
    S.CONNECTING_AS_DEVICE,
}
AWAITING_REPLY: Final = frozenset(
    {
        S.SUBSCRIBING_TO_REQUEST,
        S.REQUESTING_CERTIFICATE,
        S.REGISTERING_THING,
        S.SUBSCRIBING_TO_REGISTER,
        S.REDEEMING_SAVED_TOKEN,
        S.CLOSING_CLAIM_CONNECTION,
        S.PROVING_IDENTITY,
    }
)
WITH_CLAIM: Final = frozenset(
    {
        S.CONNECTING_TO_REQUEST,
        S.SUBSCRIBING_TO_REQUEST,
        S.REQUESTING_CERTIFICATE,
        S.STAGING_CERTIFICATE,
        S.REGISTERING_THING,
        S.CONNECTING_TO_REGISTER,
        S.SUBSCRIBING_TO_REGISTER,
        S.REDEEMING_SAVED_TOKEN,
    }
)
