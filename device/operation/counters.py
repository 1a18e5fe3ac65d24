"""What a device at work counts, from its start on; `device.runtime.metrics` writes it down."""

from dataclasses import dataclass

from device.provisioning import events as ev


@dataclass
class Counters:
    """Plain numbers; the operation counts."""

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

    def acknowledged(self, seconds: float) -> None:
        """Note a PUBACK, ``seconds`` after its PUBLISH."""
        self.acknowledged_publishes += 1
        self.puback_seconds += seconds
        self.longest_puback_seconds = max(self.longest_puback_seconds, seconds)
