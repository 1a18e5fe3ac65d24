"""What each reason code of MQTT 5 means for this device, in the four packets that carry one.

The codes and where each may stand: MQTT 5, table 2-6 and sections 3.2.2.2, 3.4.2.1, 3.9.3 and
3.14.2.1. What AWS IoT Core means by them: its Developer Guide, "MQTT reason codes".
A code that may not stand in a packet is treated as one that MQTT does not know.
"""

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final

from msgspec import Struct


class Packet(Enum):
    """The packets that a server answers or says goodbye with."""

    CONNACK = "CONNACK"
    SUBACK = "SUBACK"
    PUBACK = "PUBACK"
    DISCONNECT = "DISCONNECT"


class Kind(Enum):
    """What the device makes of a reason code."""

    OK = "ok"
    DENIED = "denied"
    """The certificate or its policy does not allow it; trying again does not help."""
    BUSY = "try later"
    """The server cannot serve anybody right now."""
    QUOTA = "quota"
    """This device, or its account, asks for more than AWS IoT allows."""
    MISUSE = "misuse"
    """The device sent what MQTT or this server does not allow: a wrong setting, or a bug."""
    TAKEN_OVER = "taken over"
    """Another client connected with the same client id."""
    MOVED = "moved"
    """The server wants the device to connect elsewhere."""
    UNCLEAR = "unclear"
    """The server does not say why; it may work next time."""


_NEXT_STEPS: Final[Mapping[Kind, str]] = {
    Kind.OK: "",
    Kind.DENIED: "Check that the certificate is ACTIVE, and what its policy allows.",
    Kind.BUSY: "The device backs off and tries again by itself.",
    Kind.QUOTA: "The device backs off. Spread the first connections of a batch further, and "
    "compare what it sends with the quotas of AWS IoT Core.",
    Kind.MISUSE: "Compare the client id, the topics and the size of messages with the limits of "
    "AWS IoT Core; if they are right, report this with the log.",
    Kind.TAKEN_OVER: "Another client uses this device's client id (the thing name). Look for a "
    "copy of this device's storage, a second device with this serial number, or a program started "
    "with this name. CloudWatch shows both addresses (DuplicateClientId). Stop it, and give each "
    "device its own name.",
    Kind.MOVED: "Compare the endpoint with: aws iot describe-endpoint --endpoint-type iot:Data-ATS",
    Kind.UNCLEAR: "The device tries again by itself. If it never helps, look for this client id in "
    "the log of AWS IoT Core.",
}

_C, _S, _P, _D = Packet
_TABLE: Final[tuple[tuple[int, str, Kind, tuple[Packet, ...]], ...]] = (
    (0x00, "success", Kind.OK, (_C, _S, _P)),
    (0x00, "normal disconnection", Kind.UNCLEAR, (_D,)),
    (0x01, "granted QoS 1", Kind.OK, (_S,)),
    (0x02, "granted QoS 2", Kind.OK, (_S,)),
    (0x04, "disconnect with Will message", Kind.UNCLEAR, (_D,)),
    (0x10, "no matching subscribers", Kind.OK, (_P,)),
    (0x80, "unspecified error", Kind.UNCLEAR, (_C, _S, _P, _D)),
    (0x81, "malformed packet", Kind.MISUSE, (_C, _D)),
    (0x82, "protocol error", Kind.MISUSE, (_C, _D)),
    (0x83, "implementation specific error", Kind.UNCLEAR, (_C, _S, _P, _D)),
    (0x84, "unsupported protocol version", Kind.MISUSE, (_C,)),
    (0x85, "client identifier not valid", Kind.MISUSE, (_C,)),
    (0x86, "bad user name", Kind.DENIED, (_C,)),
    (0x87, "not authorized", Kind.DENIED, (_C, _S, _P, _D)),
    (0x88, "server unavailable", Kind.BUSY, (_C,)),
    (0x89, "server busy", Kind.BUSY, (_C, _D)),
    (0x8A, "banned", Kind.DENIED, (_C,)),
    (0x8B, "server shutting down", Kind.BUSY, (_D,)),
    (0x8C, "bad authentication method", Kind.MISUSE, (_C, _D)),
    (0x8D, "keep alive timeout", Kind.UNCLEAR, (_D,)),
    (0x8E, "session taken over", Kind.TAKEN_OVER, (_D,)),
    (0x8F, "topic filter invalid", Kind.MISUSE, (_S, _D)),
    (0x90, "topic name invalid", Kind.MISUSE, (_C, _P, _D)),
    (0x91, "packet identifier in use", Kind.UNCLEAR, (_S, _P)),
    (0x93, "receive maximum exceeded", Kind.QUOTA, (_D,)),
    (0x94, "topic alias invalid", Kind.MISUSE, (_D,)),
    (0x95, "packet too large", Kind.MISUSE, (_C, _D)),
    (0x96, "message rate too high", Kind.QUOTA, (_D,)),
    (0x97, "quota exceeded", Kind.QUOTA, (_C, _S, _P, _D)),
    (0x98, "administrative action", Kind.UNCLEAR, (_D,)),
    (0x99, "payload format invalid", Kind.MISUSE, (_C, _P, _D)),
    (0x9A, "retain not supported", Kind.MISUSE, (_C, _D)),
    (0x9B, "QoS not supported", Kind.MISUSE, (_C, _D)),
    (0x9C, "use another server", Kind.MOVED, (_C, _D)),
    (0x9D, "server moved", Kind.MOVED, (_C, _D)),
    (0x9E, "shared subscriptions not supported", Kind.MISUSE, (_S, _D)),
    (0x9F, "connection rate exceeded", Kind.QUOTA, (_C, _D)),
    (0xA0, "maximum connect time", Kind.UNCLEAR, (_D,)),
    (0xA1, "subscription identifiers not supported", Kind.MISUSE, (_S, _D)),
    (0xA2, "wildcard subscriptions not supported", Kind.MISUSE, (_S, _D)),
)


class Reason(Struct, frozen=True):
    """A reason code, explained."""

    packet: Packet
    code: int | None
    """None is one that MQTT does not know: awscrt does not hand its number over."""
    name: str
    kind: Kind

    @property
    def next_step(self) -> str:
        """What to do about it; nothing if it is not a refusal."""
        return _NEXT_STEPS[self.kind]

    def __str__(self) -> str:
        """Return e.g. ``CONNACK 0x87 not authorized``."""
        number = "" if self.code is None else f" 0x{self.code:02X}"
        return f"{self.packet.value}{number} {self.name}"


_REASONS: Final[Mapping[tuple[Packet, int], Reason]] = MappingProxyType(
    {
        (packet, code): Reason(packet, code, name, kind)
        for code, name, kind, packets in _TABLE
        for packet in packets
    }
)


def reason_for(packet: Packet, code: int | None) -> Reason:
    """Return what ``code`` in ``packet`` means; there is an answer to every code."""
    known = None if code is None else _REASONS.get((packet, code))
    unknown = "with a reason code that MQTT 5 does not define here"
    return known or Reason(packet, code, unknown, Kind.UNCLEAR)
