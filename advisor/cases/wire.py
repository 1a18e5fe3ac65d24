"""Ours: packets that come twice, late, changed, cut or in another order, and a cloud that refuses.

W: faults of the wire. P: the cases of provisioning and operation that any client can be put to.
"""

from collections.abc import Callable, Sequence
from typing import Final

from advisor.case import Case, Finding, Judge, always, by, failed, passed
from advisor.cases.mqtt import growth_in
from advisor.codec import Kind
from advisor.journal import Entry, What, received, waits
from advisor.script import Change, Cut, Deed, Delay, Duplicate, Instead, Reorder, Rule, Script

_OURS: Final = "docs/advisor.md"
_CONNACK_BYTES: Final = 5
_MESSAGES: Final = 3
_MALFORMED: Final = b"\x20\xff\xff\xff\xff\x7f"
"""A CONNACK with a length of five bytes (MQTT 5, 1.5.5)."""
_TAKEN_OVER: Final = 0x8E
_NOT_AUTHORIZED: Final = 0x87


def comes_back(connections: int) -> Judge:
    """Return a judge that passes when the client publishes after so many bad connections."""

    def judge(entries: Sequence[Entry]) -> Finding | None:
        for entry in entries:
            if entry.connection > connections and entry.is_from_client(Kind.PUBLISH):
                return passed(f"published on connection {entry.connection}")
        return None

    return judge


def goes_on(entries: Sequence[Entry]) -> Finding | None:
    """Pass when the client publishes on and on, on the first connection."""
    if any(e.what is What.CLOSED and e.connection == 1 for e in entries):
        return failed("the client closed the connection")
    return publishes_on(entries)


def publishes_on(entries: Sequence[Entry]) -> Finding | None:
    """Pass when the client publishes several times at QoS 1, on whatever connection."""
    count = sum(packet.qos for packet in received(entries, Kind.PUBLISH))
    if count < _MESSAGES:
        return None
    return passed(f"{count} PUBLISH on {len(received(entries, Kind.CONNECT))} connections")


def hangs_up(entries: Sequence[Entry]) -> Finding | None:
    """Pass when the client closes the connection on which malformed bytes came."""
    first = next((e for e in entries if e.is_from_client(Kind.CONNECT)), None)
    if first is None:
        return None
    closed = any(e.what is What.CLOSED and e.link == first.link for e in entries)
    return passed("the client closed the connection") if closed else None


def keeps_its_distance(entries: Sequence[Entry]) -> Finding | None:
    """Pass when the waits grow although each connection was accepted at first."""
    return growth_in(waits(entries))


def _case(  # noqa: PLR0913, PLR0917 - the columns of the table below
    case_id: str,
    title: str,
    done: str,
    rules: tuple[Rule, ...],
    judge: Callable[[Sequence[Entry]], Finding | None],
    otherwise: str,
    refusal: int = 0,
) -> Case:
    script = Script(rules, refusal=refusal)
    return Case(case_id, title, done, always(script), by(judge), otherwise, _OURS)


def _acks(deed: Deed) -> tuple[Rule, ...]:
    return tuple(Rule(kind, deed) for kind in (Kind.PUBACK, Kind.SUBACK, Kind.PINGRESP))


CASES: Final = (
    _case(
        "W1",
        "A CONNACK cut within",
        "CONNACK is cut after 0, 1, 2, 3 and 4 bytes on the first five connections.",
        tuple(Rule(Kind.CONNACK, Cut(n), (n + 1,)) for n in range(_CONNACK_BYTES)),
        comes_back(_CONNACK_BYTES),
        "the client did not publish after the bad connections",
    ),
    _case(
        "W2",
        "Acknowledgements that come twice",
        "PUBACK, SUBACK and PINGRESP are sent twice.",
        _acks(Duplicate()),
        goes_on,
        f"the client published fewer than {_MESSAGES} times",
    ),
    _case(
        "W3",
        "Acknowledgements that come late",
        "PUBACK, SUBACK and PINGRESP are sent half a second later.",
        _acks(Delay(0.5)),
        goes_on,
        f"the client published fewer than {_MESSAGES} times",
    ),
    _case(
        "W4",
        "Packets in another order",
        "The first SUBACK or PUBACK comes after the packet that follows it.",
        (Rule(Kind.SUBACK, Reorder(), (1,), (1,)), Rule(Kind.PUBACK, Reorder(), (1,), (1,))),
        publishes_on,
        f"the client published fewer than {_MESSAGES} times",
    ),
    _case(
        "W5",
        "A malformed packet",
        "CONNACK has a length of five bytes.",
        (Rule(Kind.CONNACK, Instead(_MALFORMED)),),
        hangs_up,
        "the client kept a connection on which malformed bytes came",
    ),
    _case(
        "W6",
        "A changed packet",
        "The packet type of each first PUBACK and SUBACK on two connections is changed.",
        tuple(Rule(kind, Change(0), (1, 2), (1,)) for kind in (Kind.PUBACK, Kind.SUBACK)),
        comes_back(2),
        "the client did not publish after the bad connections",
    ),
    _case(
        "P14",
        "Another client with the same client id",
        "Each connection ends after CONNACK: taken over (MQTT 5: DISCONNECT 0x8E).",
        (Rule(Kind.CONNACK, Cut(reason=_TAKEN_OVER)),),
        keeps_its_distance,
        "the client reconnected too rarely to see a back-off",
    ),
    _case(
        "P15",
        "A certificate that was set INACTIVE",
        "Each CONNECT is refused: not authorized.",
        (),
        keeps_its_distance,
        "the client reconnected too rarely to see a back-off",
        refusal=_NOT_AUTHORIZED,
    ),
)
