"""Where each device stands, as far as its packets tell.

A device says nothing of its machine to the cloud. Its packets do: who asks for a certificate has
subscribed, and who is acknowledged has proven its identity. So the steps are those that can be seen
from outside, for any client; key generation and storage are not among them. A claim connection is
known by what it subscribes to, and by the client id ``claim-...`` that the device of this project
uses, whose rest names the device.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from localcloud.wire.line import refused_codes

CLAIM_STEPS: Final = {
    "claim": "connecting with the claim",
    "subscribe": "subscribing to the replies",
    "certificate": "asking for a certificate",
    "register": "registering the thing",
    "connect": "connecting as the device",
    "prove": "proving the identity",
    "provisioned": "provisioned",
}
OWN_STEPS: Final = {step: CLAIM_STEPS[step] for step in ("connect", "prove", "provisioned")}
TITLES: Final = {
    "FB-403": "AWS IoT refused the connection",
    "FB-404": "AWS IoT has not activated the certificate yet",
    "FB-410": "The policy does not allow a topic",
    "FB-411": "AWS IoT rejected a request",
    "FB-412": "AWS IoT is too busy",
    "FB-413": "The connection was lost",
    "FB-414": "Another client has the same client id",
    "FB-415": "AWS IoT did not accept a packet",
}
"""Of the device's catalogue, for what can be seen on the wire; ``device explain`` has the page."""

_CLAIM_CLIENT: Final = "claim-"
_FLEET: Final = ("$aws/certificates/create", "$aws/provisioning-templates/")
_TAKEN_OVER: Final = 0x8E  # MQTT 5, 3.14.2.1
_NOT_AUTHORIZED: Final = 0x87  # MQTT 5, 3.4.2.1
_MOST_CONNECTIONS: Final = 2000

Event = Mapping[str, Any]


@dataclass(frozen=True)
class Mark:
    """What one event tells of a device: ``step`` is ``doing``, ``done`` or ``failed``."""

    device: str
    step: str
    state: str
    has_claim: bool
    code: str | None = None
    why: str | None = None


@dataclass
class _Connection:
    device: str
    step: str
    has_claim: bool
    is_let_in: bool = False
    is_settled: bool = False
    """Whether its end needs no explanation: it said goodbye, or the failure is told."""


class Story:
    """Follows every connection; one event after the other, in order."""

    def __init__(self) -> None:
        """Begin before the first event."""
        self._connections: dict[int, _Connection] = {}

    def mark(self, event: Event) -> Mark | None:
        """Return what ``event`` tells of a device, or None."""
        number = int(event["connection"])
        if event.get("packet") == "CONNECT":
            return self._connected(number, str(event.get("client_id", "")))
        connection = self._connections.get(number)
        if connection is None:
            return None
        if event.get("event") == "closed":
            del self._connections[number]
        return _of_event(connection, event) if "event" in event else _of_packet(connection, event)

    def _connected(self, number: int, client_id: str) -> Mark:
        device = client_id.removeprefix(_CLAIM_CLIENT)
        has_claim = device != client_id
        connection = _Connection(device, "claim" if has_claim else "connect", has_claim)
        self._connections[number] = connection
        if len(self._connections) > _MOST_CONNECTIONS:
            del self._connections[next(iter(self._connections))]
        return _doing(connection, connection.step)


def _of_event(connection: _Connection, event: Event) -> Mark | None:
    reason = event.get("reason")
    if event["event"] == "refused":
        pending = "PENDING_ACTIVATION" in str(reason)
        outside = "FB-404" if pending else "FB-403"
        return _failed(connection, "FB-410" if connection.is_let_in else outside, reason)
    if connection.is_settled or connection.step == "provisioned":
        return None
    who = "the cloud" if event.get("by") == "cloud" else "the device"
    code = "FB-413" if connection.is_let_in or who == "the device" else "FB-403"
    return _failed(connection, code, f"{who} closed the connection without a word")


def _of_packet(connection: _Connection, event: Event) -> Mark | None:
    codes = refused_codes(event)
    match event["packet"], event.get("by"):
        case "DISCONNECT", _:
            return _parted(connection, codes)
        case "CONNACK", "cloud":
            connection.is_let_in = not codes
            following = "subscribe" if connection.has_claim else "prove"
            return _answered(connection, codes, following, "FB-403")
        case "SUBSCRIBE", "device":
            return _subscribing(connection, event["topics"])
        case "SUBACK", "cloud" if connection.step == "subscribe":
            return _answered(connection, codes, "certificate", "FB-410")
        case "PUBLISH", "device":
            return _published(connection, event)
        case "PUBLISH", "cloud":
            return _replied(connection, event)
        case "PUBACK", "cloud" if codes or connection.step == "prove":
            code = "FB-410" if _NOT_AUTHORIZED in codes else "FB-415"
            return _answered(connection, codes, "provisioned", code)
    return None


def _subscribing(connection: _Connection, topics: list[str]) -> Mark | None:
    if not any(topic.startswith(_FLEET) for topic in topics):
        return None
    connection.has_claim = True
    return _doing(connection, "subscribe")


def _published(connection: _Connection, event: Event) -> Mark | None:
    (topic,) = event["topics"]
    if topic.startswith(_FLEET[0]):
        return _doing(connection, "certificate")
    if topic.startswith(_FLEET[1]):
        return _doing(connection, "register")
    if connection.step == "prove" and event.get("qos"):
        return _doing(connection, "prove")
    return None


def _replied(connection: _Connection, event: Event) -> Mark | None:
    (topic,) = event["topics"]
    if not topic.startswith(_FLEET):
        return None
    if topic.endswith("/rejected"):
        reason = str(event.get("reason", ""))
        return _failed(connection, "FB-412" if reason.startswith("429") else "FB-411", reason)
    following = "register" if topic.startswith(_FLEET[0]) else "connect"
    return _doing(connection, following) if topic.endswith("/accepted") else None


def _parted(connection: _Connection, codes: list[int]) -> Mark | None:
    if codes:
        code = "FB-414" if _TAKEN_OVER in codes else "FB-413"
        return _failed(connection, code, f"DISCONNECT, reason code 0x{codes[0]:02X}")
    connection.is_settled = True
    return None


def _answered(connection: _Connection, codes: list[int], following: str, code: str) -> Mark | None:
    if codes:
        return _failed(connection, code, f"reason code 0x{codes[0]:02X}")
    if following == "provisioned":
        connection.step = following
        return _mark(connection, "done")
    return _doing(connection, following)


def _doing(connection: _Connection, step: str) -> Mark:
    connection.step = step
    return _mark(connection, "doing")


def _failed(connection: _Connection, code: str, why: object) -> Mark | None:
    if connection.is_settled:
        return None  # the first reason is the cause: what follows is its consequence
    connection.is_settled = True
    return _mark(connection, "failed", code, str(why))


def _mark(
    connection: _Connection, state: str, code: str | None = None, why: str | None = None
) -> Mark:
    return Mark(connection.device, connection.step, state, connection.has_claim, code, why)
