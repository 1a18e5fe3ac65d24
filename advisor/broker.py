"""The broker of one case, without I/O: bytes of a client in, orders out.

It keeps what AWS IoT Core would keep (sessions, messages not acknowledged), does what the script
says, and notes in the journal what it saw. Time is given to it with each call.
"""

from dataclasses import dataclass, field, replace
from typing import Final

from advisor import codec
from advisor.codec import Kind, MalformedError, Packet
from advisor.journal import Journal, What
from advisor.script import (
    Change,
    Cut,
    Delay,
    Duplicate,
    Instead,
    Memory,
    Message,
    Reorder,
    Script,
    Withhold,
)

_NOT_AUTHORIZED_311: Final = 5


@dataclass(frozen=True)
class Send:
    """Send ``data`` after ``delay`` seconds."""

    data: bytes
    delay: float = 0.0


@dataclass(frozen=True)
class Close:
    """Close the connection after ``delay`` seconds; say `Broker.cut` then, unless it is at once."""

    delay: float = 0.0


Order = Send | Close


@dataclass
class Session:
    """What the broker remembers of a client id."""

    filters: dict[str, int] = field(default_factory=dict)
    waiting: list[Message] = field(default_factory=list)


@dataclass
class _Connection:
    """One connection, from its first byte on."""

    buffer: bytearray = field(default_factory=bytearray)
    number: int = 0
    """Which CONNECT it was; 0 before it."""
    connect: Packet = field(default_factory=lambda: Packet(Kind.CONNECT))
    session: Session = field(default_factory=Session)
    counts: dict[Kind, int] = field(default_factory=dict)
    held: list[bytes] = field(default_factory=list)
    next_id: int = 1
    is_cut: bool = False
    has_pushed: bool = False


class Broker:
    """Serves all connections of one case."""

    def __init__(self, script: Script, journal: Journal) -> None:
        """Behave as ``script`` says, and note all of it in ``journal``."""
        self._script: Final = script
        self._journal: Final = journal
        self._connections: Final[dict[int, _Connection]] = {}
        self._sessions: Final[dict[str, Session]] = {}
        self._connects = 0

    def opened(self, link: int) -> None:
        """Serve a new connection, which callers name ``link``."""
        self._connections[link] = _Connection()

    def closed(self, link: int, now: float) -> None:
        """Note that the client closed, unless the endpoint did so before."""
        connection = self._connections[link]
        if not connection.is_cut:
            connection.is_cut = True
            self._journal.note(What.CLOSED, now, link, connection=connection.number)

    def received(self, link: int, data: bytes, now: float) -> list[Order]:
        """Take bytes of a client; return what to do."""
        connection = self._connections[link]
        connection.buffer += data
        orders: list[Order] = []
        try:
            for raw in codec.take_packets(connection.buffer):
                if connection.is_cut:
                    break
                packet = codec.read(raw, connection.connect.version)
                orders += self._answer(link, connection, packet, now)
        except MalformedError as error:
            self._journal.note(What.MALFORMED, now, link, detail=str(error))
            orders.append(Close())
        return orders

    def _answer(self, link: int, on: _Connection, packet: Packet, now: float) -> list[Order]:
        if not on.number and packet.kind is not Kind.CONNECT:
            raise MalformedError(f"the first packet is {packet.kind.name}, not CONNECT")
        if packet.kind is Kind.CONNECT:
            self._connects += 1
            on.number, on.connect = self._connects, packet
        self._journal.note(What.RECEIVED, now, link, packet, connection=on.number)
        match packet.kind:
            case Kind.CONNECT:
                return self._connected(link, on, now)
            case Kind.SUBSCRIBE:
                return self._subscribed(link, on, packet, now)
            case Kind.PUBLISH:
                return self._published(link, on, packet, now)
            case Kind.UNSUBSCRIBE:
                answer = codec.unsuback(on.connect.version, packet.packet_id, len(packet.filters))
                return self._send(link, on, Kind.UNSUBACK, answer, now)
            case Kind.PINGREQ:
                return self._send(link, on, Kind.PINGRESP, codec.pingresp(), now)
            case Kind.DISCONNECT:
                self.closed(link, now)
                return [Close()]
        return []

    def _connected(self, link: int, on: _Connection, now: float) -> list[Order]:
        version = on.connect.version
        if not all(each.lets_in(on.connect.client_id) for each in self._script.services):
            return self._cut(link, on, now)
        if self._script.refusal:
            is_new = version == codec.MQTT_5
            reason = self._script.refusal if is_new else _NOT_AUTHORIZED_311
            answer = codec.connack(version, reason)
            return [*self._send(link, on, Kind.CONNACK, answer, now), *self._cut(link, on, now)]
        kept = None if on.connect.is_clean else self._sessions.get(on.connect.client_id)
        on.session = kept or Session()
        if on.connect.asks_to_keep_session and self._script.memory is Memory.KEPT:
            self._sessions[on.connect.client_id] = on.session
        else:
            self._sessions.pop(on.connect.client_id, None)
        answer = codec.connack(version, session_present=kept is not None)
        orders = self._send(link, on, Kind.CONNACK, answer, now)
        if kept is not None and kept.filters and self._script.stored is not None:
            topic = next(iter(kept.filters))
            orders += self._push(link, on, topic, self._script.stored, now)
        return orders

    def _subscribed(self, link: int, on: _Connection, packet: Packet, now: float) -> list[Order]:
        on.session.filters.update(packet.filters)
        granted = bytes(min(qos, 1) for _name, qos in packet.filters)
        answer = codec.suback(on.connect.version, packet.packet_id, granted)
        orders = self._send(link, on, Kind.SUBACK, answer, now)
        if not on.has_pushed and self._script.pushes:
            on.has_pushed = True
            topic = concrete(packet.filters[0][0])
            for payload in self._script.pushes:
                orders += self._push(link, on, topic, payload, now)
        sent = [
            message
            for service in self._script.services
            for name, _qos in packet.filters
            for message in service.subscribed(name)
        ]
        return orders + self._deliver(link, on, sent, now)

    def _published(self, link: int, on: _Connection, packet: Packet, now: float) -> list[Order]:
        orders: list[Order] = []
        if packet.qos:
            orders = self._send(link, on, Kind.PUBACK, codec.puback(packet.packet_id), now)
        sent = [
            message
            for service in self._script.services
            for message in service.published(packet.topic, packet.payload)
        ]
        return orders + self._deliver(link, on, sent, now)

    def _deliver(
        self, link: int, on: _Connection, messages: list[Message], now: float
    ) -> list[Order]:
        orders: list[Order] = []
        for topic, payload in messages:
            orders += self._push(link, on, topic, payload, now)
        return orders

    def _push(
        self, link: int, on: _Connection, topic: str, payload: bytes, now: float
    ) -> list[Order]:
        asked = (q for name, q in on.session.filters.items() if matches(name, topic))
        qos = min(1, max(asked, default=0))
        packet_id, on.next_id = on.next_id, on.next_id % 0xFFFF + 1
        data = codec.publish(on.connect.version, topic, payload, packet_id, qos)
        return self._send(link, on, Kind.PUBLISH, data, now, packet_id=packet_id, topic=topic)

    def _send(  # noqa: PLR0913 - what is sent, and what the journal is to say of it
        self,
        link: int,
        on: _Connection,
        kind: Kind,
        data: bytes,
        now: float,
        *,
        packet_id: int = 0,
        topic: str = "",
    ) -> list[Order]:
        if on.is_cut:
            return []
        on.counts[kind] = count = on.counts.get(kind, 0) + 1
        orders = self._done(on, kind, data, count)
        note = Packet(kind, packet_id, topic)
        what = What.SENT if any(isinstance(order, Send) for order in orders) else What.WITHHELD
        self._journal.note(what, now, link, note, connection=on.number)
        if Close() in orders:
            self._cut(link, on, now)
        return orders

    def cut(self, link: int, now: float) -> None:
        """Note that the endpoint closes a connection, as it was ordered to do later."""
        connection = self._connections[link]
        if not connection.is_cut:
            self._cut(link, connection, now)

    def _cut(self, link: int, on: _Connection, now: float) -> list[Order]:
        on.is_cut = True
        self._journal.note(What.CUT, now, link, connection=on.number)
        return [Close()]

    def _done(self, on: _Connection, kind: Kind, data: bytes, count: int) -> list[Order]:
        rules = [rule for rule in self._script.rules if rule.covers(kind, on.number, count)]
        orders: list[Order] = [Send(data)]
        held, on.held = on.held, []
        for rule in rules:
            orders = _with(rule.deed, orders, on)
        return [*orders, *(Send(late) for late in held)]


def _with(deed: object, orders: list[Order], on: _Connection) -> list[Order]:
    sends = [order for order in orders if isinstance(order, Send)]
    match deed:
        case Withhold():
            return []
        case Delay(seconds):
            return [replace(send, delay=send.delay + seconds) for send in sends]
        case Duplicate(times):
            return [*orders] * times
        case Reorder():
            on.held += [send.data for send in sends]
            return []
        case Change(at, bits):
            return [replace(send, data=changed(send.data, at, bits)) for send in sends]
        case Cut(after, reason, delay):
            word = [Send(codec.disconnect(reason))] if reason and _speaks_5(on) else []
            parts = (replace(send, data=send.data[:after]) for send in sends)
            return [*parts, *word, Close(delay)]
        case Instead(data):
            return [Send(data)]
    raise TypeError(f"a script has no {type(deed).__name__}")


def _speaks_5(on: _Connection) -> bool:
    return on.connect.version == codec.MQTT_5


def changed(data: bytes, at: int, bits: int) -> bytes:
    """Return ``data`` with the byte at ``at`` changed; an index beyond the end is the last one."""
    at = min(at, len(data) - 1)
    return data[:at] + bytes([data[at] ^ bits]) + data[at + 1 :]


def concrete(topic_filter: str) -> str:
    """Return a topic that ``topic_filter`` matches."""
    return topic_filter.replace("+", "advisor").replace("#", "advisor")


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a message on ``topic`` goes to a subscriber of ``topic_filter`` (MQTT 5, 4.7)."""
    wanted, levels = topic_filter.split("/"), topic.split("/")
    if wanted[-1] == "#":
        wanted, levels = wanted[:-1], levels[: len(wanted) - 1]
    same = [want in {"+", level} for want, level in zip(wanted, levels, strict=False)]
    return len(wanted) == len(levels) and all(same)
