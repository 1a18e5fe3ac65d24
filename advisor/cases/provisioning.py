"""Ours: fleet provisioning by claim, for a client that provisions itself from a claim and a CSR.

The client is given a claim certificate; it should end as a thing that publishes under its own name.
"""

from collections.abc import Callable, Sequence
from typing import Final

from advisor.case import Case, Finding, Given, Judge, failed, passed
from advisor.codec import Kind, Packet
from advisor.fleet_provisioning import (
    CREATE,
    HOSTILE_TOKEN,
    Answer,
    FleetProvisioning,
    cut_short,
    honest,
    lost,
    of_another_key,
    provision_topic,
    rejected,
    replaced,
)
from advisor.journal import Entry, What, received
from advisor.script import Cut, Rule, Script, Withhold

_OURS: Final = "docs/advisor.md"
_OTHERWISE: Final = "the client did not end as a thing that publishes under its name"
_THROTTLED: Final = rejected(429, "Throttled")
_HOSTILE: Final = (
    cut_short,
    replaced(b""),
    replaced(b"\xff\xfe not UTF-8"),
    replaced(b'{"certificateId": 7, "certificatePem": [], "certificateOwnershipToken": {}}'),
    of_another_key,
)


def _requests(entries: Sequence[Entry], topic: str) -> list[Packet]:
    return [packet for packet in received(entries, Kind.PUBLISH) if packet.topic == topic]


def is_provisioned(entries: Sequence[Entry], given: Given) -> bool:
    """Whether a thing was asked for, and the client then published as that thing."""
    asked = False
    own: set[int] = set()
    for entry in entries:
        packet = entry.packet
        if entry.what is not What.RECEIVED or packet is None:
            continue
        if packet.kind is Kind.PUBLISH and packet.topic == provision_topic(given.template):
            asked = True
        elif packet.kind is Kind.CONNECT and packet.client_id == given.thing_name:
            own.add(entry.link)
        elif packet.kind is Kind.PUBLISH and entry.link in own and asked and packet.qos:
            return True
    return False


def provisions(given: Given) -> Judge:
    """Return a judge that passes when the client is provisioned."""

    def judge(entries: Sequence[Entry]) -> Finding | None:
        if not is_provisioned(entries, given):
            return None
        created = len(_requests(entries, CREATE))
        registered = len(_requests(entries, provision_topic(given.template)))
        return passed(
            f"provisioned: {created} requests for a certificate, {registered} for a thing"
        )

    return judge


def waits_for_suback(given: Given) -> Judge:
    """Return a judge that fails a request on a connection on which no SUBACK came."""

    def judge(entries: Sequence[Entry]) -> Finding | None:
        silent = [entry for entry in entries if entry.connection == 1]
        if _requests(silent, CREATE):
            return failed("the client asked before its subscriptions were acknowledged")
        return provisions(given)(entries)

    return judge


def hangs_up_first(given: Given) -> Judge:
    """Return a judge that fails a device that connects while the claim connection is open."""

    def judge(entries: Sequence[Entry]) -> Finding | None:
        opened: set[int] = set()
        for entry in entries:
            if entry.what in {What.CLOSED, What.CUT}:
                opened.discard(entry.link)
            elif entry.is_from_client(Kind.CONNECT) and entry.packet is not None:
                if entry.packet.client_id == given.thing_name and opened:
                    return failed("the claim connection was open when the device connected")
                opened.add(entry.link)
        return provisions(given)(entries)

    return judge


def keeps_its_certificate(given: Given) -> Judge:
    """Return a judge that fails a client that asks for a second certificate."""

    def judge(entries: Sequence[Entry]) -> Finding | None:
        if len(_requests(entries, CREATE)) > 1:
            return failed("the client asked for a second certificate; the first is left over")
        return provisions(given)(entries)

    return judge


def refuses_lies(given: Given) -> Judge:
    """Return a judge that fails a registration with what came with another key's certificate."""

    def judge(entries: Sequence[Entry]) -> Finding | None:
        for packet in _requests(entries, provision_topic(given.template)):
            if HOSTILE_TOKEN.encode() in packet.payload:
                return failed("the client registered a certificate for another key")
        return provisions(given)(entries)

    return judge


def _script(
    rules: tuple[Rule, ...] = (),
    created: Sequence[Answer] = (),
    registered: Sequence[Answer] = (),
) -> Callable[[Given], Script]:
    def make(given: Given) -> Script:
        fleet = FleetProvisioning(given.template, given.thing_name, created, registered)
        return Script(rules, services=(fleet,), client_ca_pem=fleet.ca_pem)

    return make


def _case(
    case_id: str,
    title: str,
    done: str,
    script: Callable[[Given], Script],
    judge: Callable[[Given], Judge] = provisions,
) -> Case:
    return Case(case_id, title, done, script, judge, _OTHERWISE, _OURS, needs_template=True)


CASES: Final = (
    _case("P1", "The claim is accepted", "Nothing: the server provisions the client.", _script()),
    _case(
        "P2",
        "Requests wait for SUBACK",
        "No SUBSCRIBE is acknowledged on the first connection.",
        _script((Rule(Kind.SUBACK, Withhold(), (1,)),)),
        waits_for_suback,
    ),
    _case(
        "P4",
        "Throttled",
        "The first three requests for a certificate are rejected: 429.",
        _script(created=(_THROTTLED,) * 3),
    ),
    _case(
        "P8",
        "The claim connection is closed before the device connects",
        "Nothing: the server provisions the client.",
        _script(),
        hangs_up_first,
    ),
    _case(
        "P16",
        "The reply to RegisterThing is lost",
        "The first RegisterThing has no answer.",
        _script(registered=(lost,)),
        keeps_its_certificate,
    ),
    _case(
        "P17",
        "The connection is cut at each packet",
        "Cut at CONNACK, SUBACK, PUBACK and the replies, one after the other.",
        _script(
            (
                Rule(Kind.CONNACK, Cut(), (1,)),
                Rule(Kind.SUBACK, Cut(0), (2,)),
                Rule(Kind.SUBACK, Cut(), (3,)),
                Rule(Kind.PUBACK, Cut(0), (4,)),
                Rule(Kind.PUBACK, Cut(), (5,)),
                Rule(Kind.PUBLISH, Cut(0), (6,)),
                Rule(Kind.PUBLISH, Cut(), (7,)),
            )
        ),
    ),
    _case(
        "P19",
        "A hostile cloud",
        "Replies are cut short, empty, not UTF-8, of wrong types, for another key; then honest.",
        _script(created=(*_HOSTILE, honest)),
        refuses_lies,
    ),
)
