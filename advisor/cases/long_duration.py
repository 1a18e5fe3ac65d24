"""Device Advisor's tests of long duration: one client through all of it, in one run."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from advisor.backoff import grows
from advisor.case import Case, Finding, Given, Judge, always, by, failed, passed
from advisor.cases.mqtt import SILENCE
from advisor.codec import Kind
from advisor.journal import Entry, What, received, sent, waits
from advisor.script import Cut, Rule, Script, Withhold

_PAGE: Final = (
    "https://docs.aws.amazon.com/iot/latest/developerguide/device-advisor-tests-long-duration.html"
)
_STORED: Final = b'{"advisor": "stored while the client was away"}'
_SILENT: Final = 9
"""The connection on which nothing is answered."""

Step = Callable[[Sequence[Entry]], bool]


def _on(entries: Sequence[Entry], connection: int, kind: Kind) -> bool:
    return any(e.connection == connection and e.is_from_client(kind) for e in entries)


def _publish_comes_again(entries: Sequence[Entry]) -> bool:
    payloads = [p.payload for p in received(entries, Kind.PUBLISH) if p.qos]
    return len(set(payloads)) < len(payloads)


def _stored_is_acknowledged(entries: Sequence[Entry]) -> bool:
    last = [e for e in entries if e.connection >= 2]
    stored = {packet.packet_id for packet in sent(last, Kind.PUBLISH) if packet.packet_id}
    return bool(stored & {packet.packet_id for packet in received(last, Kind.PUBACK)})


def _hangs_up(entries: Sequence[Entry]) -> bool:
    return any(e.connection == _SILENT and e.what is What.CLOSED for e in entries)


def _has_backed_off(entries: Sequence[Entry]) -> bool:
    return grows(waits(entries)[: _SILENT - 2])


_BASIC: Final[Mapping[str, Step]] = {
    "connect": lambda entries: bool(received(entries, Kind.CONNECT)),
    "publish": lambda entries: bool(received(entries, Kind.PUBLISH)),
    "publish again without PUBACK": _publish_comes_again,
    "subscribe": lambda entries: bool(received(entries, Kind.SUBSCRIBE)),
    "reconnect": lambda entries: len(received(entries, Kind.CONNECT)) > 1,
}
_ADVANCED: Final[Mapping[str, Step]] = {
    "reconnects with back-off while no CONNACK comes": _has_backed_off,
    "survives a long outage of the server": lambda entries: _on(entries, 8, Kind.CONNECT),
    "acknowledges QoS 1, also from the persistent session": _stored_is_acknowledged,
    "hangs up when nothing is answered": _hangs_up,
    "comes back and publishes": lambda entries: any(
        e.connection > _SILENT and e.is_from_client(Kind.PUBLISH) for e in entries
    ),
}


def all_of(steps: Mapping[str, Step]) -> Judge:
    """Return a judge that passes when each of ``steps`` was seen."""

    def judge(entries: Sequence[Entry]) -> Finding | None:
        done = [name for name, step in steps.items() if step(entries)]
        return passed("; ".join(done)) if len(done) == len(steps) else None

    return judge


def soaked(_given: Given) -> Judge:
    """Return a judge of a soak, which is asked when its time is up."""

    def judge(entries: Sequence[Entry]) -> Finding | None:
        if not entries:
            return failed("the client never connected")
        counts = {kind: len(received(entries, kind)) for kind in (Kind.CONNECT, Kind.PUBLISH)}
        acknowledged = len(sent(entries, Kind.PUBACK))
        ended = [e for e in entries if e.what is What.ENDED]
        said = (
            f"{counts[Kind.CONNECT]} CONNECT, {counts[Kind.PUBLISH]} PUBLISH, "
            f"{acknowledged} PUBACK, {len(received(entries, Kind.PINGREQ))} PINGREQ, "
            f"{sum(e.what is What.CLOSED for e in entries)} closed by the client"
        )
        if ended:
            return failed(f"the client's process ended: {said}")
        is_well = counts[Kind.CONNECT] == 1 and counts[Kind.PUBLISH] > 0
        return passed(said) if is_well else failed(f"not one connection with messages: {said}")

    return judge


CASES: Final = (
    Case(
        "Long_Duration_Basic",
        "Long duration, basic: connect, publish, subscribe, reconnect",
        "The first PUBACK is withheld; the connection is cut after the third PUBLISH.",
        always(
            Script(
                (
                    Rule(Kind.PUBACK, Withhold(), (1,), (1,)),
                    Rule(Kind.PUBACK, Cut(), (1,), (3,)),
                    Rule(Kind.PUBACK, Cut(), (2,), (2,)),
                )
            )
        ),
        by(all_of(_BASIC)),
        "not all of the sequence was seen",
        _PAGE,
    ),
    Case(
        "Long_Duration_Advanced",
        "Long duration, advanced: back-off, outage, unstable connections, keep-alive, session",
        "Cut after SUBACK; no CONNACK six times; cut; nothing answered on the ninth connection.",
        always(
            Script(
                (
                    Rule(Kind.SUBACK, Cut(delay=2.0), (1,)),
                    Rule(Kind.CONNACK, Withhold(), range(2, 8)),
                    Rule(Kind.PUBACK, Cut(), (8,)),
                    *(Rule(rule.kind, Withhold(), (_SILENT,)) for rule in SILENCE),
                ),
                stored=_STORED,
            )
        ),
        by(all_of(_ADVANCED)),
        "not all of the sequence was seen",
        _PAGE,
    ),
    Case(
        "Long_Duration_Additional_Time",
        "Long duration, additional time: a soak with metrics",
        "Nothing: the server answers as AWS IoT Core does, until the time is up.",
        always(Script()),
        soaked,
        "the client never connected",
        _PAGE,
        awaits_end=True,
    ),
)
