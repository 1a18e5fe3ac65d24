"""The connection as the loop sees it: orders in, past facts out, one attempt at a time."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from device.config.endpoint import Endpoint
from device.config.settings import Connection
from device.provisioning.actions import Action
from device.provisioning.events import Credential, Event
from device.storage.keys import TlsIdentity


class StopRequested(Event, frozen=True):
    """Someone wants the device to stop: SIGTERM, or Ctrl-C."""


class Session(Protocol):
    """At most one connection at a time, made on order, never retried by itself.

    Events of a connection that was closed since are dropped here: a machine never sees
    news of a connection that it gave up.
    """

    def perform(self, action: Action) -> None:
        """Begin ``action``; the outcome comes as an event.

        Accepts `Connect`, `Subscribe`, `Request`, `Publish` and `Disconnect`.
        """
        ...

    def next_event(self, timeout: float | None) -> Event | None:
        """Return the next event, or None when ``timeout`` seconds passed without one."""
        ...

    def close(self) -> None:
        """Close the connection, if there is one, and drop what it still had to say."""
        ...

    def trust(self, root_ca_pem: bytes) -> None:
        """Trust the CAs in ``root_ca_pem`` only, from the next connection on."""
        ...

    def request_stop(self) -> None:
        """Make `next_event` return `StopRequested`; may be called from a signal handler."""
        ...


SessionFactory = Callable[
    [Endpoint, bytes, Callable[[Credential], TlsIdentity], Connection], Session
]
"""Makes a session with an endpoint, the CAs to trust, and what gives each credential's key."""


@runtime_checkable
class Postbox(Protocol):
    """A session that gives on what happens elsewhere in the device."""

    def post(self, event: Event) -> None:
        """Have `Session.next_event` return ``event``; may be called from any thread."""
        ...
