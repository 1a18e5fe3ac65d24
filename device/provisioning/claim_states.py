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
    CONNECTING_TO_REGISTER = "connecting with the claim, to use the saved token"
    SUBSCRIBING_TO_REGISTER = "subscribing to the reply"
    REGISTERING_THING = "registering the thing"
    CLOSING_CLAIM_CONNECTION = "closing the claim connection"
    PROBING_STAGED_CERTIFICATE = "trying the staged certificate, which may be registered already"
    PROBING_WITH_EXPIRED_TOKEN = "trying the staged certificate, whose token has expired"  # noqa: S105
    CONNECTING_AS_DEVICE = "connecting as the device"
    PROVING_IDENTITY = "proving the identity"
    PROMOTING_CERTIFICATE = "promoting the certificate"
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
    ev.ReplyMalformed: S.WAITING_TO_RETRY,
    ev.SubscriptionDenied: S.FAILED,
    ev.PublishDenied: S.FAILED,
}
_ASKING: Final[Row] = {
    **_IN_SESSION,
    ev.RequestThrottled: S.WAITING_TO_RETRY,
    ev.RequestDenied: S.FAILED,
    ev.RequestRefused: S.FAILED,
    ev.TokenRefused: S.WAITING_TO_RETRY,
}
_RESUME: Final[Row] = {
    ev.NothingStored: S.GENERATING_KEY,
    ev.KeyFound: S.CONNECTING_TO_REQUEST,
    ev.StagedCertificateFound: S.PROBING_STAGED_CERTIFICATE,
    ev.ExpiredTokenFound: S.PROBING_WITH_EXPIRED_TOKEN,
    ev.RegistrationFound: S.CONNECTING_AS_DEVICE,
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
            ev.CertificateUnacceptable: S.FAILED,
        },
        S.CONNECTING_TO_REGISTER: {**_RETRY, ev.Connected: S.SUBSCRIBING_TO_REGISTER},
        S.SUBSCRIBING_TO_REGISTER: {**_IN_SESSION, ev.Subscribed: S.REGISTERING_THING},
        S.REGISTERING_THING: {**_ASKING, ev.ThingRegistered: S.CLOSING_CLAIM_CONNECTION},
        S.CLOSING_CLAIM_CONNECTION: {
            ev.Disconnected: S.CONNECTING_AS_DEVICE,
            ev.ConnectionLost: S.CONNECTING_AS_DEVICE,
            ev.TimedOut: S.WAITING_TO_RETRY,
        },
        S.PROBING_STAGED_CERTIFICATE: {
            **_RETRY,
            ev.Connected: S.PROVING_IDENTITY,
            ev.NotLetIn: S.CONNECTING_TO_REGISTER,
        },
        S.PROBING_WITH_EXPIRED_TOKEN: {
            **_RETRY,
            ev.Connected: S.PROVING_IDENTITY,
            ev.NotLetIn: S.CONNECTING_TO_REQUEST,
        },
        S.CONNECTING_AS_DEVICE: {**_RETRY, ev.Connected: S.PROVING_IDENTITY},
        S.PROVING_IDENTITY: {**_IN_SESSION, ev.PublishAcknowledged: S.PROMOTING_CERTIFICATE},
        S.PROMOTING_CERTIFICATE: {ev.IdentityPromoted: S.PROVISIONED},
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

CONNECTING: Final = frozenset(
    {
        S.CONNECTING_TO_REQUEST,
        S.CONNECTING_TO_REGISTER,
        S.CONNECTING_AS_DEVICE,
        S.PROBING_STAGED_CERTIFICATE,
        S.PROBING_WITH_EXPIRED_TOKEN,
    }
)
AWAITING_REPLY: Final = frozenset(
    {
        S.SUBSCRIBING_TO_REQUEST,
        S.REQUESTING_CERTIFICATE,
        S.SUBSCRIBING_TO_REGISTER,
        S.REGISTERING_THING,
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
        S.CONNECTING_TO_REGISTER,
        S.SUBSCRIBING_TO_REGISTER,
        S.REGISTERING_THING,
    }
)
