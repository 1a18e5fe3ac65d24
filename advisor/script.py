"""What an endpoint does to a client: a broker that behaves, and the faults that it is to commit.

Data only; `advisor.broker` acts on it. A rule names packets by kind, by the number of the
connection (the n-th CONNECT, from 1) and by their number among their kind on that connection.
"""

from collections.abc import Container
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from advisor.codec import Kind


class _All:
    """Contains every number."""

    def __contains__(self, _: object) -> bool:
        return True

    def __repr__(self) -> str:
        return "all"


ALL: Final[Container[int]] = _All()


@dataclass(frozen=True)
class Withhold:
    """Send nothing."""


@dataclass(frozen=True)
class Delay:
    """Send it ``seconds`` later."""

    seconds: float


@dataclass(frozen=True)
class Duplicate:
    """Send it so many times."""

    times: int = 2


@dataclass(frozen=True)
class Reorder:
    """Send it after the packet that follows."""


@dataclass(frozen=True)
class Change:
    """Send it with the byte at ``at`` changed by exclusive or."""

    at: int
    bits: int = 0xFF


@dataclass(frozen=True)
class Cut:
    """Close the connection after ``after`` bytes of it; None: after all of them.

    With a ``reason``, an MQTT 5 client is sent a DISCONNECT before that.
    """

    after: int | None = None
    reason: int = 0
    delay: float = 0.0
    """Seconds that the connection stays open after that."""


@dataclass(frozen=True)
class Instead:
    """Send these bytes in its place."""

    data: bytes


Deed = Withhold | Delay | Duplicate | Reorder | Change | Cut | Instead


@dataclass(frozen=True)
class Rule:
    """Do ``deed`` to the packets that all three fields name."""

    kind: Kind
    deed: Deed
    connections: Container[int] = ALL
    packets: Container[int] = ALL

    def covers(self, kind: Kind, connection: int, packet: int) -> bool:
        """Whether this packet is one of them."""
        return self.kind is kind and connection in self.connections and packet in self.packets


class Memory(Enum):
    """What the broker does with the session of a client that went away."""

    KEPT = "kept"
    LOST = "lost"


Message = tuple[str, bytes]
"""Topic and payload."""


class Service(Protocol):
    """A service of AWS IoT behind the broker: shadow, jobs, fleet provisioning."""

    def lets_in(self, client_id: str, /) -> bool:
        """Return whether a client with this id may connect."""
        ...

    def subscribed(self, topic_filter: str, /) -> list[Message]:
        """Return what the service sends because of a subscription."""
        ...

    def published(self, topic: str, payload: bytes, /) -> list[Message]:
        """Return what the service answers."""
        ...


@dataclass(frozen=True)
class Script:
    """How the endpoint of one case behaves."""

    rules: tuple[Rule, ...] = ()
    memory: Memory = Memory.KEPT
    pushes: tuple[bytes, ...] = ()
    """Payloads that come at QoS 1 on what the client subscribed to, after its first SUBACK."""
    stored: bytes | None = None
    """What a client finds when it comes back to a session that was kept."""
    services: tuple[Service, ...] = ()
    refusal: int = 0
    """The reason code of each CONNACK of MQTT 5; 5 in its place in 3.1.1."""
    client_ca_pem: bytes = b""
    """A CA whose client certificates are taken as well, as the services issue them."""
    dropped: Container[int] = ()
    """TCP connections that are closed before TLS, by number from 1."""
