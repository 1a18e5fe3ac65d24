"""The faults that can be switched on: what each does, and its fields."""

from typing import Annotated, Final, Literal

import msgspec

from localcloud.errors import FAULT

ANY: Final = "*"
Operation = Literal["*", "create", "create-from-csr", "provision"]
"""A fleet provisioning request: keys made by AWS, a CSR, RegisterThing, or any of them."""
Times = Annotated[int, msgspec.Meta(ge=1)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=3600)]


class Fault(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"
):
    """What every fault has."""

    client_id: str = ANY
    """Which clients: a pattern with ``*`` and ``?``."""
    count: Times | None = 1
    """How many times it strikes; None for always."""


class RequestFault(Fault, frozen=True, kw_only=True):
    """A fault of one kind of request."""

    operation: Operation = ANY


class Reject(RequestFault, frozen=True, kw_only=True, tag="reject"):
    """Answer on ``.../rejected`` and do nothing."""

    status_code: int = 500
    error_code: str = "InternalFailure"
    error_message: str = "A fault was switched on."


class Throttle(RequestFault, frozen=True, kw_only=True, tag="throttle"):
    """Reject with 429 what exceeds so many requests a second."""

    count: Times | None = None
    per_second: Annotated[int, msgspec.Meta(ge=0)] = 0


class DropReply(RequestFault, frozen=True, kw_only=True, tag="drop-reply"):
    """Do what is asked and never answer."""


class DelayReply(RequestFault, frozen=True, kw_only=True, tag="delay-reply"):
    """Do what is asked at once and answer late; the connection stands still meanwhile."""

    seconds: Seconds


class CutBeforeReply(RequestFault, frozen=True, kw_only=True, tag="cut-before-reply"):
    """Do what is asked and close the connection in place of the answer."""


class CutAtConnect(Fault, frozen=True, kw_only=True, tag="cut-at-connect"):
    """Close the connection on CONNECT, without CONNACK."""


class CutAfterPacket(Fault, frozen=True, kw_only=True, tag="cut-after-packet"):
    """Close the connection when so many packets have come and were served; CONNECT is the first."""

    packets: Times


class RefuseConnect(Fault, frozen=True, kw_only=True, tag="refuse-connect"):
    """Refuse CONNECT: CONNACK with this reason on MQTT 5, a close on 3.1.1."""

    reason_code: Annotated[int, msgspec.Meta(ge=0x80, le=0xFF)] = 0x87


class WithholdConnack(Fault, frozen=True, kw_only=True, tag="withhold-connack"):
    """Let the client in and never tell it; nothing else is sent on the connection either."""


class HalfOpen(Fault, frozen=True, kw_only=True, tag="half-open"):
    """Neither answer nor close after so many packets were sent; CONNACK is the first."""

    packets: Times = 1


class Stall(Fault, frozen=True, kw_only=True, tag="stall"):
    """Send nothing for some seconds from the next packet on, then go on."""

    seconds: Seconds


class Slow(Fault, frozen=True, kw_only=True, tag="slow"):
    """Send a packet as slowly as this."""

    count: Times | None = None
    bytes_per_second: Annotated[int, msgspec.Meta(ge=1)] = 100


class Duplicate(Fault, frozen=True, kw_only=True, tag="duplicate"):
    """Send a PUBLISH twice, the second some seconds later."""

    seconds: Seconds = 0.0


class Reorder(Fault, frozen=True, kw_only=True, tag="reorder"):
    """Send a PUBLISH after the next one, or after some seconds if there is none."""

    seconds: Seconds = 1.0


class Flood(Fault, frozen=True, kw_only=True, tag="flood"):
    """Send unrequested messages of any size, once the client is connected."""

    messages: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1000
    bytes: Annotated[int, msgspec.Meta(ge=0, le=268_000_000)] = 100
    topic: Annotated[str, msgspec.Meta(min_length=1, max_length=256)] = "flood"


class BadCertificate(Fault, frozen=True, kw_only=True, tag="bad-certificate"):
    """Show a server certificate that a client must refuse; any client, as none has a name yet."""

    problem: Literal["unknown-authority", "expired", "wrong-name"] = "unknown-authority"


class ExpireTokens(Fault, frozen=True, kw_only=True, tag="expire-tokens"):
    """Make every ownership token so much older, at once; an hour ends them all."""

    seconds: Seconds = 3600.0


AnyFault = (
    Reject
    | Throttle
    | DropReply
    | DelayReply
    | CutBeforeReply
    | CutAtConnect
    | CutAfterPacket
    | RefuseConnect
    | WithholdConnack
    | HalfOpen
    | Stall
    | Slow
    | Duplicate
    | Reorder
    | Flood
    | BadCertificate
    | ExpireTokens
)
_DECODER: Final = msgspec.json.Decoder(AnyFault)


def parse_fault(body: bytes) -> AnyFault:
    """Read a fault from JSON such as ``{"kind": "drop-reply", "operation": "provision"}``.

    Raises:
        FaultError: it is not JSON, or a field is unknown or out of range; the text names it.
    """
    try:
        fault: AnyFault = _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FAULT.error(str(error)) from error
    return fault
