"""What a device at work counts, from its start on; `device.runtime.metrics` writes it down."""

from dataclasses import dataclass, field

from device.provisioning import events as ev


@dataclass
class Counters:
    """Plain numbers; the operation counts, and gives the moments."""

    connects: int = 0
    """Connections that were made."""
    connection_failures: int = 0
    """Attempts to connect that failed."""
    connections_lost: int = 0
    """Connections that ended while the device was at work."""
    publishes: int = 0
    acknowledged_publishes: int = 0
    puback_seconds: float = 0.0
    """All times from a PUBLISH to its PUBACK together."""
    longest_puback_seconds: float = 0.0
    messages: int = 0
    """Messages that came for a task."""
    readings_dropped: int = 0
    application_refusals: int = 0
    _published_at: float | None = field(default=None, repr=False)

    @property
    def reconnects(self) -> int:
        """How often a connection was made again."""
        return max(0, self.connects - 1)

    def connected(self) -> None:
        """Note a connection."""
        self.connects += 1

    def failed(self, event: ev.Event) -> None:
        """Note why there is no connection, or none any more."""
        if isinstance(event, ev.NotLetIn | ev.ConnectFailed):
            self.connection_failures += 1
        else:
            self.connections_lost += 1
        self._published_at = None

    def published(self, now: float) -> None:
        """Note a PUBLISH."""
        self.publishes += 1
        self._published_at = now

    def acknowledged(self, now: float) -> None:
        """Note the PUBACK of the last PUBLISH."""
        self.acknowledged_publishes += 1
        if self._published_at is not None:
            took, self._published_at = now - self._published_at, None
            self.puback_seconds += took
            self.longest_puback_seconds = max(self.longest_puback_seconds, took)
