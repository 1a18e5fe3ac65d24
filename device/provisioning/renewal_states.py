"""The states of a renewal, and every legal transition between them.

The current certificate stays the identity, and stays in use, until `PROMOTING_CERTIFICATE`. Until
then every end is a wait or a roll-back. After that only the retirement of the old certificate
remains, and it is repeated until the cloud says that it is done.
"""

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final

from device.provisioning import events as ev
from device.provisioning import renewal_events as re
from device.provisioning.events import Event
from device.provisioning.machine import Transitions


class State(Enum):
    """What the device waits for; the value is how a person would say it."""

    AWAITING_POWER = "waiting to begin the renewal"
    CONNECTING_TO_RETIRE = "connecting, to have an old certificate retired"
    SUBSCRIBING_TO_RETIRE = "subscribing to the cloud's answer about an old certificate"
    RETIRING_CERTIFICATE = "having the old certificate retired"
    LOOKING_AGAIN = "looking at what remains to be done"
    GENERATING_KEY = "making a new device key"
    CONNECTING_TO_REQUEST = "connecting with the current certificate"
    SUBSCRIBING_TO_REQUEST = "subscribing to the replies"
    REQUESTING_CERTIFICATE = "asking for a new certificate"
    STAGING_CERTIFICATE = "checking and storing the new certificate"
    REGISTERING_CERTIFICATE = "registering the new certificate for the thing"
    CLOSING_CONNECTION = "closing the connection with the current certificate"
    PROBING_STAGED_CERTIFICATE = "trying the stored new certificate"
    PROBING_DOUBTED_CERTIFICATE = "trying the stored new certificate one last time"
    CONNECTING_TO_REGISTER = "connecting with the current certificate, to use the saved token"
    SUBSCRIBING_TO_REGISTER = "subscribing to the reply"
    REDEEMING_SAVED_TOKEN = "registering the new certificate with the saved token"  # noqa: S105
    CONNECTING_WITH_NEW = "connecting with the new certificate"
    SUBSCRIBING_TO_CONFIRMATION = "subscribing to the cloud's confirmation"
    PROVING_CERTIFICATE = "waiting until the cloud confirms the new certificate"
    PROMOTING_CERTIFICATE = "promoting the new certificate"
    HANDING_OVER = "changing to the new certificate"
    ROLLING_BACK = "rolling back to the current certificate"
    WAITING_TO_RETRY = "waiting to try again"
    ENDED = "the renewal is over"


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
    ev.SubscriptionDenied: S.ROLLING_BACK,
    ev.PublishDenied: S.ROLLING_BACK,
}
_ASKING: Final[Row] = {
    **_IN_SESSION,
    ev.ReplyMalformed: S.WAITING_TO_RETRY,
    ev.RequestThrottled: S.WAITING_TO_RETRY,
    ev.RequestDenied: S.ROLLING_BACK,
    ev.RequestRefused: S.ROLLING_BACK,
    ev.TokenRefused: S.ROLLING_BACK,
}
_REGISTERING: Final[Row] = {
    **_ASKING,
    ev.ThingRegistered: S.CLOSING_CONNECTION,
    ev.UnexpectedThingNamed: S.ROLLING_BACK,
}
_RETIRING: Final[Row] = {
    **_IN_SESSION,
    # Nothing is left to roll back: the request is repeated.
    ev.SubscriptionDenied: S.WAITING_TO_RETRY,
    ev.PublishDenied: S.WAITING_TO_RETRY,
}
_RESUME: Final[Row] = {
    re.RetirementFound: S.CONNECTING_TO_RETIRE,
    re.NothingLeft: S.ENDED,
    ev.NothingStored: S.GENERATING_KEY,
    ev.KeyFound: S.CONNECTING_TO_REQUEST,
    ev.StagedCertificateFound: S.PROBING_STAGED_CERTIFICATE,
    ev.RegistrationFound: S.PROBING_STAGED_CERTIFICATE,
    ev.StagedCertificateDoubted: S.PROBING_DOUBTED_CERTIFICATE,
}

TRANSITIONS: Final[Transitions[State]] = MappingProxyType(
    {
        S.AWAITING_POWER: _RESUME,
        S.LOOKING_AGAIN: _RESUME,
        S.WAITING_TO_RETRY: _RESUME,
        S.CONNECTING_TO_RETIRE: {**_RETRY, ev.Connected: S.SUBSCRIBING_TO_RETIRE},
        S.SUBSCRIBING_TO_RETIRE: {**_RETIRING, ev.Subscribed: S.RETIRING_CERTIFICATE},
        S.RETIRING_CERTIFICATE: {
            **_RETIRING,
            ev.ReplyMalformed: S.WAITING_TO_RETRY,
            re.CertificateRetired: S.LOOKING_AGAIN,
        },
        S.GENERATING_KEY: {ev.KeyGenerated: S.CONNECTING_TO_REQUEST},
        S.CONNECTING_TO_REQUEST: {**_RETRY, ev.Connected: S.SUBSCRIBING_TO_REQUEST},
        S.SUBSCRIBING_TO_REQUEST: {**_IN_SESSION, ev.Subscribed: S.REQUESTING_CERTIFICATE},
        S.REQUESTING_CERTIFICATE: {**_ASKING, ev.CertificateIssued: S.STAGING_CERTIFICATE},
        S.STAGING_CERTIFICATE: {
            ev.CertificateStaged: S.REGISTERING_CERTIFICATE,
            ev.ClockFoundBehind: S.WAITING_TO_RETRY,
            ev.CertificateUnacceptable: S.ROLLING_BACK,
        },
        S.REGISTERING_CERTIFICATE: _REGISTERING,
        S.CLOSING_CONNECTION: {
            ev.Disconnected: S.CONNECTING_WITH_NEW,
            ev.ConnectionLost: S.CONNECTING_WITH_NEW,
            ev.TimedOut: S.WAITING_TO_RETRY,
        },
        S.CONNECTING_WITH_NEW: {**_RETRY, ev.Connected: S.SUBSCRIBING_TO_CONFIRMATION},
        S.PROBING_STAGED_CERTIFICATE: {
            **_RETRY,
            ev.Connected: S.SUBSCRIBING_TO_CONFIRMATION,
            ev.NotLetIn: S.CONNECTING_TO_REGISTER,
        },
        S.PROBING_DOUBTED_CERTIFICATE: {
            **_RETRY,
            ev.Connected: S.SUBSCRIBING_TO_CONFIRMATION,
            ev.NotLetIn: S.ROLLING_BACK,
        },
        S.CONNECTING_TO_REGISTER: {**_RETRY, ev.Connected: S.SUBSCRIBING_TO_REGISTER},
        S.SUBSCRIBING_TO_REGISTER: {**_IN_SESSION, ev.Subscribed: S.REDEEMING_SAVED_TOKEN},
        S.REDEEMING_SAVED_TOKEN: {
            **_REGISTERING,
            # The registration may stand already: its certificate is worth more tries.
            ev.RequestDenied: S.WAITING_TO_RETRY,
            ev.RequestRefused: S.WAITING_TO_RETRY,
            ev.TokenRefused: S.WAITING_TO_RETRY,
        },
        S.SUBSCRIBING_TO_CONFIRMATION: {**_IN_SESSION, ev.Subscribed: S.PROVING_CERTIFICATE},
        S.PROVING_CERTIFICATE: {
            **_IN_SESSION,
            ev.ReplyMalformed: S.WAITING_TO_RETRY,
            re.RenewalConfirmed: S.PROMOTING_CERTIFICATE,
            re.OtherCertificateConfirmed: S.WAITING_TO_RETRY,
            re.RenewalRefused: S.ROLLING_BACK,
        },
        S.PROMOTING_CERTIFICATE: {ev.IdentityPromoted: S.HANDING_OVER},
        S.HANDING_OVER: {
            re.HandedOver: S.RETIRING_CERTIFICATE,
            ev.ConnectionLost: S.WAITING_TO_RETRY,
        },
        S.ROLLING_BACK: {re.RolledBack: S.LOOKING_AGAIN},
        S.ENDED: {},
    }
)

PROBING: Final = frozenset({S.PROBING_STAGED_CERTIFICATE, S.PROBING_DOUBTED_CERTIFICATE})
WITH_NEW: Final = PROBING | {
    S.CONNECTING_WITH_NEW,
    S.SUBSCRIBING_TO_CONFIRMATION,
    S.PROVING_CERTIFICATE,
}
"""Made with the new certificate; every other connection is made with the current one."""
BY_ASKER: Final = frozenset(
    {
        S.CONNECTING_TO_REQUEST,
        S.SUBSCRIBING_TO_REQUEST,
        S.REQUESTING_CERTIFICATE,
        S.REGISTERING_CERTIFICATE,
        S.CLOSING_CONNECTION,
        S.CONNECTING_TO_REGISTER,
        S.SUBSCRIBING_TO_REGISTER,
        S.REDEEMING_SAVED_TOKEN,
    }
)
"""Where the current certificate asks for the new one; if it is dead, the birth certificate does."""
CONNECTING: Final = PROBING | {
    S.CONNECTING_TO_RETIRE,
    S.CONNECTING_TO_REQUEST,
    S.CONNECTING_TO_REGISTER,
    S.CONNECTING_WITH_NEW,
}
AWAITING_REPLY: Final = frozenset(
    {
        S.SUBSCRIBING_TO_RETIRE,
        S.RETIRING_CERTIFICATE,
        S.SUBSCRIBING_TO_REQUEST,
        S.REQUESTING_CERTIFICATE,
        S.REGISTERING_CERTIFICATE,
        S.CLOSING_CONNECTION,
        S.SUBSCRIBING_TO_REGISTER,
        S.REDEEMING_SAVED_TOKEN,
        S.SUBSCRIBING_TO_CONFIRMATION,
        S.PROVING_CERTIFICATE,
    }
)
