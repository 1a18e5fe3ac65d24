"""An MQTT packet, cut into parts: some bytes, what they are called and what they say.

Formats: MQTT 5.0, chapter 3. A secret of the payload is overwritten before anything is cut.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from localcloud.broker.codec import Property, Reader

T = TypeVar("T")
_SECRETS: Final = re.compile(
    rb'("(?:certificateOwnershipToken|privateKey|Proof)"\s*:\s*")((?:[^"\\]|\\.)*)'
)
_PROPERTIES: Final[Mapping[Property, str]] = {
    Property.SESSION_EXPIRY: "seconds that the broker keeps the session after the connection ends",
    Property.RECEIVE_MAXIMUM: "most QoS 1 messages that may wait for an acknowledgement",
    Property.MAXIMUM_QOS: "highest QoS that the broker takes; QoS 2 is not in AWS IoT",
    Property.RETAIN_AVAILABLE: "1: messages can be retained",
    Property.MAXIMUM_PACKET_SIZE: "largest packet in bytes",
    Property.TOPIC_ALIAS_MAXIMUM: "how many topics may have a short number",
    Property.WILDCARD_AVAILABLE: "1: filters may have + and #",
    Property.SUBSCRIPTION_ID_AVAILABLE: "0: subscriptions cannot be numbered",
    Property.SHARED_AVAILABLE: "1: several clients can share a subscription",
    Property.SERVER_KEEP_ALIVE: "the broker's keep-alive, in place of the client's",
    Property.REASON_STRING: "words for a person",
    Property.REQUEST_PROBLEM: "1: the client wants to be told reasons",
}
_FIELDS: Final[Mapping[str, str]] = {
    "certificateSigningRequest": "the device's public key, signed with its private key, which "
    "stays in the device",
    "certificateOwnershipToken": "a secret for one hour: whoever has it may register a thing with "
    "this certificate. It is overwritten on this page",
    "certificateId": "the SHA-256 of the certificate: its name in the registry",
    "certificatePem": "the new certificate. It is PENDING_ACTIVATION until a thing is registered",
    "privateKey": "the key that AWS made. It is overwritten on this page",
    "parameters": "the parameters of the template",
    "deviceConfiguration": "settings that the template gives to the device; none here",
    "thingName": "the thing that the template made for the device",
    "statusCode": "as in HTTP: 4xx is final, 429 and 5xx may pass",
    "errorCode": "the kind of refusal",
    "errorMessage": "AWS's words, all that a device learns",
    "event": "what this first message says",
    "thing": "who sends it",
}


@dataclass(frozen=True)
class Part:
    """Some bytes of a packet."""

    data: bytes
    title: str
    meaning: str
    is_text: bool = False


class _Tape(Reader):
    """A reader that keeps what it read, in parts."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.parts: list[Part] = []

    def part(self, read: Callable[[Reader], T], title: str, say: Callable[[T], str]) -> T:
        start = self._at
        value = read(self)
        self.parts.append(Part(self._data[start : self._at], title, say(value)))
        return value

    def rest_as_payload(self) -> None:
        self.parts += _payload(self.rest())

    def properties_part(self) -> None:
        self.part(Reader.properties, "properties", _properties)


def dissected(packet: bytes) -> list[Part]:
    """Return the parts of ``packet`` in order; together they are all of its bytes.

    Secrets of a JSON payload are dots.
    """
    tape = _Tape(_SECRETS.sub(lambda found: found[1] + b"." * len(found[2]), packet))
    first = tape.part(
        Reader.byte, "packet type", lambda byte: f"{_TYPES[byte >> 4][0]}{_qos(byte)}"
    )
    tape.part(Reader.varint, "remaining length", lambda size: f"{size} bytes follow")
    _TYPES[first >> 4][1](tape, first)
    return tape.parts


def _qos(byte: int) -> str:
    return f", QoS {byte >> 1 & 3}" if byte >> 4 == 3 else ""


def _connect(tape: _Tape, _first: int) -> None:
    tape.part(Reader.string, "protocol name", str)
    tape.part(Reader.byte, "protocol version", lambda version: f"{version}: MQTT 5")
    tape.part(Reader.byte, "flags", _connect_flags)
    tape.part(Reader.u16, "keep-alive", lambda seconds: f"after {seconds} s of silence, a ping")
    tape.properties_part()
    tape.part(Reader.string, "client id", lambda name: f"{name}: the policy must allow it")


def _connect_flags(flags: int) -> str:
    clean = "clean start: no old session" if flags & 2 else "an old session is continued"
    return f"{clean}; no will; no user name or password, since the certificate says who it is"


def _connack(tape: _Tape, _first: int) -> None:
    tape.part(
        Reader.byte, "session present", lambda flag: "an old session" if flag else "a new one"
    )
    tape.part(Reader.byte, "reason code", _reason)
    tape.properties_part()


def _publish(tape: _Tape, first: int) -> None:
    tape.part(Reader.string, "topic", str)
    if first >> 1 & 3:
        tape.part(Reader.u16, "packet id", _packet_id)
    tape.properties_part()
    tape.rest_as_payload()


def _puback(tape: _Tape, _first: int) -> None:
    tape.part(Reader.u16, "packet id", _packet_id)
    if tape:
        tape.part(Reader.byte, "reason code", _reason)
    if tape:
        tape.properties_part()


def _subscribe(tape: _Tape, _first: int) -> None:
    tape.part(Reader.u16, "packet id", _packet_id)
    tape.properties_part()
    while tape:
        tape.part(Reader.string, "topic filter", str)
        tape.part(Reader.byte, "options", lambda byte: f"at most QoS {byte & 3}")


def _suback(tape: _Tape, _first: int) -> None:
    tape.part(Reader.u16, "packet id", _packet_id)
    tape.properties_part()
    while tape:
        tape.part(Reader.byte, "reason code", _granted)


def _disconnect(tape: _Tape, _first: int) -> None:
    if tape:
        tape.part(Reader.byte, "reason code", _reason)
    if tape:
        tape.properties_part()


def _other(tape: _Tape, _first: int) -> None:
    if tape:
        tape.part(Reader.rest, "body", lambda _body: "")


_TYPES: Final[Mapping[int, tuple[str, Callable[[_Tape, int], None]]]] = {
    **{kind: (f"type {kind}", _other) for kind in range(16)},
    1: ("CONNECT", _connect),
    2: ("CONNACK", _connack),
    3: ("PUBLISH", _publish),
    4: ("PUBACK", _puback),
    8: ("SUBSCRIBE", _subscribe),
    9: ("SUBACK", _suback),
    14: ("DISCONNECT", _disconnect),
}


def _packet_id(number: int) -> str:
    return f"{number}: request and acknowledgement have the same"


def _reason(code: int) -> str:
    words = {0x00: "success", 0x10: "success, but nobody subscribes to the topic",
             0x87: "not authorized: no policy allows it"}  # fmt: skip
    return f"0x{code:02X}: {words.get(code, 'an error')}"


def _granted(code: int) -> str:
    return f"0x{code:02X}: granted, QoS {code}" if code <= 1 else _reason(code)


def _properties(found: Mapping[Property, object]) -> str:
    told = [
        f"{name.name.lower().replace('_', ' ')} {value} ({_PROPERTIES.get(name, 'MQTT 5, 2.2.2')})"
        for name, value in found.items()
    ]
    return "; ".join(told) or "none"


def _payload(data: bytes) -> Iterator[Part]:
    """Yield a part for each field of a JSON object, as it is written."""
    try:
        document = json.loads(data)
    except ValueError:
        document = None
    if not (isinstance(document, dict) and document):
        yield from [Part(data, "payload", "", is_text=True)] if data else []
        return
    places = [0]
    for name in document:
        places.append(data.index(json.dumps(name).encode(), places[-1]))
    places = places[1:]
    ends = [*places[1:], len(data)]
    for name, start, end in zip(document, [0, *places[1:]], ends, strict=True):
        yield Part(data[start:end], f"payload: {name}", _FIELDS.get(name, ""), is_text=True)
