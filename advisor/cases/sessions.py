"""MQTT persistent sessions, as Device Advisor has them."""

from collections.abc import Sequence
from typing import Final

from advisor.case import Case, Finding, always, by, failed, passed
from advisor.cases.mqtt import PAGE
from advisor.codec import Kind
from advisor.journal import Entry, What, received
from advisor.script import Cut, Memory, Rule, Script

_STORED: Final = b'{"advisor": "stored while the client was away"}'
_CUT_AFTER_SUBACK: Final = Rule(Kind.SUBACK, Cut(delay=2.0), connections=(1,))
"""Later, because a client may need several SUBSCRIBEs for all that it wants."""


def resumes(entries: Sequence[Entry]) -> Finding | None:
    """Pass when the stored message is acknowledged, and nothing was subscribed again."""
    connects = received(entries, Kind.CONNECT)
    if connects and not connects[0].asks_to_keep_session:
        return failed("CONNECT does not ask for a persistent session (clean session, or no expiry)")
    second = [e for e in entries if e.connection == 2]
    first = {f for e in entries if e.connection == 1 for f in _filters(e)}
    if len(connects) > 1 and connects[1].is_clean:
        return failed("the second CONNECT throws the session away (clean start)")
    again = [name for e in second for name in _filters(e) if name in first]
    if again:
        return failed(f"subscribed again although the session was present: {', '.join(again)}")
    stored = [e.packet.packet_id for e in second if e.packet and _is_sent(e, Kind.PUBLISH)]
    acknowledged = {packet.packet_id for e in second for packet in received([e], Kind.PUBACK)}
    if stored and stored[0] in acknowledged:
        return passed("the message that was stored came, was acknowledged, and nothing else asked")
    return None


def subscribes_anew(entries: Sequence[Entry]) -> Finding | None:
    """Pass when the client subscribes again to what it had, since the session is gone."""
    connects = received(entries, Kind.CONNECT)
    if connects and not connects[0].asks_to_keep_session:
        return failed("CONNECT does not ask for a persistent session (clean session, or no expiry)")
    first = {name for e in entries if e.connection == 1 for name in _filters(e)}
    again = {name for e in entries if e.connection > 1 for name in _filters(e)}
    if first and first <= again:
        return passed(f"subscribed again to {', '.join(sorted(first))}")
    return None


def _filters(entry: Entry) -> list[str]:
    packets = received([entry], Kind.SUBSCRIBE)
    return [name for packet in packets for name, _qos in packet.filters]


def _is_sent(entry: Entry, kind: Kind) -> bool:
    return entry.what is What.SENT and entry.packet is not None and entry.packet.kind is kind


CASES: Final = (
    Case(
        "MQTT_Persistent_Session_Happy_Case",
        "Persistent Session (Happy Case)",
        "The connection is cut 2 s after SUBACK; a message is stored until the client returns.",
        always(Script((_CUT_AFTER_SUBACK,), stored=_STORED)),
        by(resumes),
        "the client did not acknowledge the stored message",
        PAGE,
    ),
    Case(
        "MQTT_Expired_Persistent_Session",
        "Persistent Session - Session Expiry",
        "The connection is cut 2 s after SUBACK; then the session is no longer present.",
        always(Script((_CUT_AFTER_SUBACK,), memory=Memory.LOST)),
        by(subscribes_anew),
        "the client did not subscribe again, although its session was gone",
        PAGE,
    ),
)
