"""An MQTT session: what outlives the connection, as the client asked for it.

"AWS IoT Core stores unacknowledged QoS 1 messages" of a persistent session, and those that
arrive while the client is away, and sends them when it is back (developer guide, "MQTT", MQTT
persistent sessions). A message is kept from its arrival to its PUBACK; which packet identifier it
went out with is forgotten with the process, and it gets another.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Final, Protocol, TypedDict
from uuid import uuid4

from localcloud.broker.codec import Properties, Property, Reader
from localcloud.broker.limits import LONGEST_SESSION, MOST_QUEUED

_MOST_IDS: Final = 65535
_LONGEST_EXPIRY: Final = 604_800  # AWS caps a message's expiry at seven days

Key = tuple[str, str, str]
"""Account, Region and client id."""


class Message(TypedDict):
    """A message for one session."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    properties: bytes
    """As they stand in a PUBLISH of MQTT 5."""
    received_at: float
    """Epoch seconds."""


class Record(TypedDict):
    """What is saved of a session beside its messages."""

    identifier: str
    expiry: int
    """Seconds that it outlives its connection."""
    left_at: float | None
    """When the client went, in epoch seconds; None while it is connected."""
    subscriptions: dict[str, int]
    """Options byte by topic filter."""


class Keep(Protocol):
    """Where sessions are saved, so that they survive the process."""

    def keep_session(self, key: Key, record: Record) -> None:
        """Save a session."""

    def forget_session(self, key: Key) -> None:
        """Remove a session; its messages were removed before."""

    def keep_message(self, key: Key, number: int, message: Message) -> None:
        """Save a message of a session."""

    def forget_message(self, key: Key, number: int) -> None:
        """Remove a message."""


def properties_left(properties: bytes, received_at: float, now: float) -> Properties | None:
    """Return the properties to send at ``now``: the expiry is what is left; None once expired."""
    given = Reader(properties).properties() if properties else {}
    if Property.MESSAGE_EXPIRY not in given:
        return given
    expiry = min(max(given[Property.MESSAGE_EXPIRY], 1), _LONGEST_EXPIRY)
    left = received_at + expiry - now
    if left <= 0:
        return None
    # A second that has begun counts as spent.
    return {**given, Property.MESSAGE_EXPIRY: max(int(left - 1e-9), 0)}


class Session:
    """One client's session."""

    def __init__(self, key: Key, record: Record, keep: Keep) -> None:
        """Go on with ``record``."""
        self.key = key
        self._record = record
        self._keep = keep
        self._messages: dict[int, Message] = {}
        self._queue: deque[int] = deque()
        self._in_flight: dict[int, int] = {}
        self._last_number = 0
        self._next_packet_id = 1

    @property
    def identifier(self) -> str:
        """What AWS calls ``sessionIdentifier`` in lifecycle events."""
        return self._record["identifier"]

    @property
    def subscriptions(self) -> Mapping[str, int]:
        """The options byte of each topic filter."""
        return self._record["subscriptions"]

    @property
    def expiry(self) -> int:
        """Seconds that it outlives its connection; 0: not at all."""
        return self._record["expiry"]

    @property
    def in_flight(self) -> int:
        """How many messages were sent and not acknowledged."""
        return len(self._in_flight)

    def is_over(self, now: float) -> bool:
        """Whether it has expired at ``now``, in epoch seconds."""
        left_at = self._record["left_at"]
        return left_at is not None and now - left_at >= self.expiry

    def set_expiry(self, seconds: int) -> None:
        """Let it outlive its connection so long, seven days at most."""
        was_kept = self.expiry
        self._record["expiry"] = min(seconds, LONGEST_SESSION)
        self._save()
        for number, message in self._messages.items():
            if self.expiry and not was_kept:
                self._keep.keep_message(self.key, number, message)
            elif was_kept and not self.expiry:
                self._keep.forget_message(self.key, number)
        if not self.expiry:
            self._keep.forget_session(self.key)

    def left(self, now: float) -> None:
        """Note that the client went at ``now``."""
        self._record["left_at"] = now
        self._save()

    def returned(self) -> None:
        """Note that the client is connected."""
        self._record["left_at"] = None
        self._save()

    def subscribe(self, topic_filter: str, options: int) -> None:
        """Add or replace a subscription."""
        self._record["subscriptions"][topic_filter] = options
        self._save()

    def unsubscribe(self, topic_filter: str) -> None:
        """Remove a subscription."""
        self._record["subscriptions"].pop(topic_filter, None)
        self._save()

    def put(self, new: Message) -> None:
        """Keep a message for later; the oldest of more than MOST_QUEUED is dropped."""
        self._queue.append(self._take(new))
        if len(self._queue) > MOST_QUEUED:
            self._drop(self._queue.popleft())

    def restore(self, number: int, message: Message) -> None:
        """Go on with a message that was saved; the oldest first."""
        self._messages[number] = message
        self._queue.append(number)
        self._last_number = max(self._last_number, number)

    def send_next(self) -> tuple[int, Message] | None:
        """Move the oldest kept message in flight and return it with its packet identifier."""
        return self._put_in_flight(self._queue.popleft()) if self._queue else None

    def send(self, new: Message) -> tuple[int, Message]:
        """Put a message in flight and return it with its packet identifier."""
        return self._put_in_flight(self._take(new))

    def acknowledge(self, packet_id: int) -> None:
        """Forget a message that the client has."""
        number = self._in_flight.pop(packet_id, None)
        if number is not None:
            self._drop(number)

    def unacknowledged(self) -> Iterator[tuple[int, Message]]:
        """Yield each message in flight, the oldest first."""
        for packet_id, number in list(self._in_flight.items()):
            if packet_id in self._in_flight:
                yield packet_id, self._messages[number]

    def forget(self) -> None:
        """Remove what was saved of it."""
        for number in list(self._messages):
            self._drop(number)
        self._queue.clear()
        self._in_flight.clear()
        self._keep.forget_session(self.key)

    def _take(self, new: Message) -> int:
        self._last_number += 1
        self._messages[self._last_number] = new
        if self.expiry:
            self._keep.keep_message(self.key, self._last_number, new)
        return self._last_number

    def _drop(self, number: int) -> None:
        del self._messages[number]
        if self.expiry:
            self._keep.forget_message(self.key, number)

    def _put_in_flight(self, number: int) -> tuple[int, Message]:
        packet_id = self._next_packet_id
        while packet_id in self._in_flight:
            packet_id = packet_id % _MOST_IDS + 1
        self._next_packet_id = packet_id % _MOST_IDS + 1
        self._in_flight[packet_id] = number
        return packet_id, self._messages[number]

    def _save(self) -> None:
        if self.expiry:
            self._keep.keep_session(self.key, self._record)


def new_record(expiry: int) -> Record:
    """Return the record of a session that begins."""
    return Record(
        identifier=str(uuid4()),
        expiry=min(expiry, LONGEST_SESSION),
        left_at=None,
        subscriptions={},
    )
