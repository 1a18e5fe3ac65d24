"""What an endpoint saw of a client, in order; verdicts are made from nothing else."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeVar

from advisor.client_hello import ClientHello
from advisor.codec import Kind, Packet

_Answer = TypeVar("_Answer")


class What(Enum):
    """Kinds of entries; the value is how the report says it."""

    OPENED = "the client opened a connection"
    HELLO = "the client sent its ClientHello"
    TLS_COMPLETE = "the TLS handshake was completed"
    TLS_FAILED = "the TLS handshake failed"
    RECEIVED = "the client sent"
    SENT = "the endpoint sent"
    WITHHELD = "the endpoint withheld"
    MALFORMED = "the client sent what is not MQTT"
    CUT = "the endpoint closed the connection"
    CLOSED = "the client closed the connection"
    ENDED = "the client's process ended"


@dataclass(frozen=True)
class Entry:
    """One thing that happened."""

    what: What
    at: float
    """Seconds of the journal's clock."""
    link: int = 0
    """Which TCP connection, from 1; 0: none."""
    packet: Packet | None = None
    connection: int = 0
    """Which CONNECT this connection began with, from 1; 0: none yet."""
    hello: ClientHello | None = None
    detail: str = ""

    def is_from_client(self, kind: Kind) -> bool:
        """Whether the client sent a packet of this kind."""
        return self.what is What.RECEIVED and self.packet is not None and self.packet.kind is kind


class Journal:
    """The entries of one case; threads may write while another waits for a verdict."""

    def __init__(self) -> None:
        """Begin empty."""
        self._entries: Final[list[Entry]] = []
        self._changed: Final = threading.Condition()

    @property
    def entries(self) -> Sequence[Entry]:
        """What happened until now."""
        with self._changed:
            return tuple(self._entries)

    def note(  # noqa: PLR0913 - the fields of an entry
        self,
        what: What,
        at: float,
        link: int = 0,
        packet: Packet | None = None,
        *,
        connection: int = 0,
        hello: ClientHello | None = None,
        detail: str = "",
    ) -> None:
        """Write down what happened at ``at``."""
        with self._changed:
            self._entries.append(Entry(what, at, link, packet, connection, hello, detail))
            self._changed.notify_all()

    def wait_for(
        self, answer: Callable[[Sequence[Entry]], _Answer | None], seconds: float
    ) -> _Answer | None:
        """Return the first answer that the entries give, or None after ``seconds``."""
        with self._changed:
            return self._changed.wait_for(lambda: answer(tuple(self._entries)), seconds)


def received(entries: Sequence[Entry], kind: Kind) -> list[Packet]:
    """Return the packets of this kind that the client sent."""
    return [e.packet for e in entries if e.is_from_client(kind) and e.packet is not None]


def sent(entries: Sequence[Entry], kind: Kind) -> list[Packet]:
    """Return the packets of this kind that the endpoint sent."""
    found = (e.packet for e in entries if e.what is What.SENT)
    return [packet for packet in found if packet is not None and packet.kind is kind]


def waits(entries: Sequence[Entry]) -> list[float]:
    """Return the seconds between the end of each connection and the next CONNECT.

    The end is when the first of both sides closed. What the client spent in waiting for an answer
    before that is no part of its back-off.
    """
    found, ended = [], None
    for entry in entries:
        if entry.is_from_client(Kind.CONNECT):
            if ended is not None:
                found.append(entry.at - ended)
            ended = None
        elif entry.connection and entry.what in {What.CUT, What.CLOSED} and ended is None:
            ended = entry.at
    return found
