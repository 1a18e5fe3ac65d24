"""An MQTT session: what outlives the connection, as the client asked for it.

"AWS IoT Core stores unacknowledged QoS 1 messages" of a persistent session, and those that
arrive while the client is away, and sends them when it is back (developer guide, "MQTT", MQTT
persistent sessions). A session is one record, so that it can be saved as it stands.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypedDict
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
    """What is saved of a session; JSON keys are strings, so packet identifiers are too."""

    identifier: str
    expiry: int
    """Seconds that it outlives its connection."""
    left_at: float | None
    """When the client went, in epoch seconds; None while it is connected."""
    subscriptions: dict[str, int]
    """Options byte by topic filter."""
    in_flight: dict[str, Message]
    queue: list[Message]
    next_packet_id: int


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
    """One client's session; ``saved`` is told the record after each change."""

    def __init__(self, key: Key, record: Record, saved: Callable[[Record], None]) -> None:
        """Go on with ``record``."""
        self.key = key
        self._record = record
        self._saved = saved

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
        return len(self._record["in_flight"])

    def is_over(self, now: float) -> bool:
        """Whether it has expired at ``now``, in epoch seconds."""
        left_at = self._record["left_at"]
        return left_at is not None and now - left_at >= self.expiry

    def set_expiry(self, seconds: int) -> None:
        """Let it outlive its connection so long, seven days at most."""
        self._record["expiry"] = min(seconds, LONGEST_SESSION)
        self._save()

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
        self._record["queue"].append(new)
        del self._record["queue"][:-MOST_QUEUED]
        self._save()

    def send_next(self) -> tuple[int, Message] | None:
        """Move the oldest kept message in flight and return it with its packet identifier."""
        if not self._record["queue"]:
            return None
        return self.send(self._record["queue"].pop(0))

    def send(self, new: Message) -> tuple[int, Message]:
        """Put a message in flight and return it with its packet identifier."""
        packet_id = self._free_packet_id()
        self._record["in_flight"][str(packet_id)] = new
        self._save()
        return packet_id, new

    def acknowledge(self, packet_id: int) -> None:
        """Forget a message that the client has."""
        if self._record["in_flight"].pop(str(packet_id), None) is not None:
            self._save()

    def unacknowledged(self) -> Iterator[tuple[int, Message]]:
        """Yield each message in flight, the oldest first."""
        for packet_id, sent in list(self._record["in_flight"].items()):
            yield int(packet_id), sent

    def _free_packet_id(self) -> int:
        packet_id = self._record["next_packet_id"]
        while str(packet_id) in self._record["in_flight"]:
            packet_id = packet_id % _MOST_IDS + 1
        self._record["next_packet_id"] = packet_id % _MOST_IDS + 1
        return packet_id

    def _save(self) -> None:
        if self.expiry:
            self._saved(self._record)


def new_record(expiry: int) -> Record:
    """Return the record of a session that begins."""
    return Record(
        identifier=str(uuid4()),
        expiry=min(expiry, LONGEST_SESSION),
        left_at=None,
        subscriptions={},
        in_flight={},
        queue=[],
        next_packet_id=1,
    )
