"""What was recorded of one method: connections, their packets, and the registry between them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from localcloud.page.story import Story
from localcloud.wire.line import refused_codes

Event = Mapping[str, Any]
Row = Mapping[str, Any]

_BY_CLAIM: Final = "$aws/certificates/"
_TEMPLATE: Final = "$aws/provisioning-templates/"


@dataclass
class Connection:
    """One connection, from its opening to its end."""

    opened: Event
    happened: list[Event | Row] = field(default_factory=list)
    """Packets and other events, and rows of the registry that changed meanwhile."""

    @property
    def packets(self) -> list[Event]:
        """The MQTT packets alone."""
        return [each for each in self.happened if "packet" in each]

    @property
    def client_id(self) -> str:
        """Who it said it is."""
        return next((str(each["client_id"]) for each in self.packets if "client_id" in each), "")

    @property
    def is_refused(self) -> bool:
        """Whether it ended without an answer to CONNECT."""
        return not any(each["packet"] == "CONNACK" for each in self.packets)


def connections(told: Mapping[str, Any]) -> list[Connection]:
    """Return the connections in ``told``, an answer of ``GET watch/0``; alike refusals are one."""
    found: dict[int, Connection] = {}
    latest: Connection | None = None
    for each in sorted([*told["events"], *told["registry"]], key=lambda one: int(one["number"])):
        if each.get("event") == "opened":
            latest = found[each["connection"]] = Connection(each)
        elif "connection" in each:
            found[each["connection"]].happened.append(each)
        elif latest and _tells_something(each, latest):
            latest.happened.append(each)
    return list(_without_repeated_refusals(one for one in found.values() if one.packets))


def _tells_something(row: Row, connection: Connection) -> bool:
    """Whether ``row`` differs from the latest of its name: a record is written more than once."""
    earlier = [each for each in connection.happened if each.get("name") == row["name"]]
    return not earlier or earlier[-1]["words"] != row["words"]


def _without_repeated_refusals(each: Iterable[Connection]) -> Iterator[Connection]:
    before: Connection | None = None
    for connection in each:
        if before and before.is_refused and _is_alike(connection, before):
            before.happened += [one for one in connection.happened if "kind" in one]
            continue
        if before:
            yield before
        before = connection
    if before:
        yield before


def _is_alike(one: Connection, other: Connection) -> bool:
    return one.is_refused and one.client_id == other.client_id


def failure(each: Iterable[Connection]) -> tuple[Event | None, str, str]:
    """Return the event at which a device first failed, its code and the reason."""
    for connection in each:
        story = Story()
        for event in connection.happened:
            mark = story.mark(event) if "connection" in event else None
            if mark and mark.state == "failed":
                return _on_the_wire(event, connection), str(mark.code), str(mark.why)
    return None, "", ""


def _on_the_wire(event: Event, connection: Connection) -> Event:
    """Return the packet that says what ``event``, a refusal by the broker, is the reason of."""
    after = [each for each in connection.packets if each["number"] > event["number"]]
    refusing = (each for each in after if refused_codes(each))
    return next(refusing, event) if event.get("event") == "refused" else event


def why(event: Event) -> str:
    """Return, in a sentence, what a packet is for."""
    name, by = event["packet"], event["by"]
    topic = (event.get("topics") or [""])[0]
    if name == "PUBLISH":
        return _why_published(by, topic)
    if name == "CONNECT":
        return "The device says who it is. The certificate of the TLS connection has to allow it."
    if name == "SUBSCRIBE":
        is_fleet = topic.startswith((_BY_CLAIM, _TEMPLATE))
        return (
            "It subscribes to the replies before it asks: a reply without a subscriber is lost."
            if is_fleet
            else "It subscribes to what the cloud sends to this thing."
        )
    return _ANSWERS.get(name, "")


def _why_published(by: str, topic: str) -> str:
    if topic.startswith(_BY_CLAIM):
        if by == "device":
            return "It asks for a certificate of its own."
        return "The certificate, and a token that proves who asked for it."
    if topic.startswith(_TEMPLATE):
        if by == "device":
            return (
                "It asks the template to make its thing, with the token and the template's "
                "parameters."
            )
        return "The template made the thing, attached the policy and activated the certificate."
    if by == "device" and topic.startswith("dt/"):
        return "A message at QoS 1. Its acknowledgement proves that the new identity works."
    return "A message of the operation that follows the first boot."


_ANSWERS: Final[Mapping[str, str]] = {
    "CONNACK": "The broker accepts the device and tells it its limits.",
    "SUBACK": "One code for each filter: below 0x80 it is granted.",
    "PUBACK": "The broker has the message. On a request this is not yet the answer.",
    "DISCONNECT": "The device says goodbye, so no last will is sent.",
}
