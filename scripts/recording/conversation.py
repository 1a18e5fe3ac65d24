"""The wire log as a table: who sent what to whom, and who disconnected."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

Event = Mapping[str, Any]
Row = tuple[str, ...]

_CLOSES: Final = "closes the connection"
_TITLES: Final = ("connection", "who", "what", "topic", "bytes", "fields of the payload")


def table(events: Iterable[Event], owners: Mapping[str, str]) -> list[str]:
    """Return a Markdown table of all connections that got as far as a packet.

    Refused attempts that follow each other are one: how many there are is a matter of chance.

    Args:
        events: what ``GET /_localcloud/wire`` tells.
        owners: the things of certificates.
    """
    numbers = itemgetter("connection")
    connections = groupby(sorted(events, key=numbers), numbers)
    told: list[list[Row]] = []
    for rows in (_rows([*connection], owners) for _, connection in connections):
        if rows and not (_is_refusal(rows) and rows in told[-1:]):
            told.append(rows)
    return [_line(_TITLES), "|" + "---|" * len(_TITLES), *map(_line, _numbered(told))]


def _numbered(connections: Iterable[list[Row]]) -> Iterator[Row]:
    for number, ((first, *cells), *others) in enumerate(connections, 1):
        yield (f"{number}: {first}", *cells)
        yield from others


def _is_refusal(rows: list[Row]) -> bool:
    return _CLOSES in rows[-1]


def _rows(events: list[Event], owners: Mapping[str, str]) -> list[Row]:
    opened, *others = events
    owner = owners.get(opened["certificate_id"] or "")
    shown = f"certificate of `{owner}`" if owner else "a claim certificate"
    packets = [event for event in others if "packet" in event]
    if not packets:
        return []
    rows = [_packet(event) for event in packets]
    if packets[-1]["packet"] != "DISCONNECT":
        rows += [(event["by"], _CLOSES, "", "", "") for event in others[-1:]]
    first = f"{opened['tls']} to `{opened['server_name']}`, {shown}"
    return [(first, *rows[0]), *(("", *row) for row in rows[1:])]


def _packet(event: Event) -> Row:
    topics = "<br>".join(f"`{topic}`" for topic in event.get("topics", ()))
    fields = ", ".join(f"`{name}`" for name in event.get("fields", ()))
    return (event["by"], _words(event), topics, str(event["bytes"]), fields)


def _words(event: Event) -> str:
    words: str = event["packet"]
    if "client_id" in event:
        words += f" as `{event['client_id']}`"
    if "qos" in event:
        words += f", QoS {event['qos']}"
    refused = [f"0x{code:02X}" for code in event.get("reason_codes", ()) if code > 2]
    return " ".join([words, *refused])


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |".replace("|  |", "| |").replace("|  |", "| |")
