"""The device's own session, with a count of what it asks of AWS IoT, and a ceiling for all."""

import threading
from collections import Counter
from collections.abc import Callable
from typing import Final

from device.config.endpoint import Endpoint
from device.config.settings import Connection
from device.connection.awscrt_session import AwscrtSession, Network
from device.errors import StoppedError
from device.provisioning import actions as act
from device.provisioning.events import Credential
from device.storage.keys import TlsIdentity

_REQUESTS: Final = (
    ("certificates/create-from-csr", "CreateCertificateFromCsr"),
    ("certificates/create", "CreateKeysAndCertificate"),
    ("/provision/", "RegisterThing"),
)


class Ceiling:
    """The number of calls that a whole fleet may make."""

    def __init__(self, most: int | None) -> None:
        """Allow ``most`` calls; None for as many as there are."""
        self._lock: Final = threading.Lock()
        self._left = most
        self.is_reached = False

    def take(self) -> None:
        """Take one call.

        Raises:
            StoppedError: there is none left; nothing was sent.
        """
        if self._left is None:
            return
        with self._lock:
            self._left -= 1
            self.is_reached = self.is_reached or self._left < 0
            if self._left < 0:
                raise StoppedError("stopped: the fleet has made as many calls as it may")


class CountingSession(AwscrtSession):
    """An `AwscrtSession` that says what it sends; all of a fleet share a network thread."""

    def __init__(  # noqa: PLR0913 - the four of a session, and the three that a fleet adds
        self,
        endpoint: Endpoint,
        root_ca_pem: bytes,
        tls_identity: Callable[[Credential], TlsIdentity],
        options: Connection,
        *,
        network: Network,
        calls: Counter[str],
        ceiling: Ceiling,
    ) -> None:
        """Count into ``calls`` what ``ceiling`` allows."""
        super().__init__(endpoint, root_ca_pem, tls_identity, options, network=network)
        self._calls: Final = calls
        self._ceiling: Final = ceiling

    def perform(self, action: act.Action) -> None:
        """Count ``action``, and begin it."""
        if (kind := kind_of(action)) is not None:
            self._ceiling.take()
            self._calls[kind] += 1
        super().perform(action)


def kind_of(action: act.Action) -> str | None:
    """Return what AWS IoT calls ``action``; None if it has nothing to answer."""
    match action:
        case act.Connect():
            return "Connect"
        case act.Subscribe():
            return "Subscribe"
        case act.Publish():
            return "Publish"
        case act.Request(topic):
            return next((name for part, name in _REQUESTS if part in topic), "Publish")
    return None
