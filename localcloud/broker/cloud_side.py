"""What the broker asks the rest of the cloud: registry, policies, rules, retained messages.

It is the whole of what the broker knows of MiniStack.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from localcloud.broker.policies import Policies
from localcloud.broker.provisioning import Asked, Reply, rejected
from localcloud.seam import Seam

_EVENT_GROUPS: Final = {"subscribed": "subscriptions", "unsubscribed": "subscriptions"}

UNFORESEEN: Final = (TypeError, LookupError, ValueError, AttributeError, RecursionError)
"""What MiniStack raises on values that it did not expect."""
_LOG: Final = logging.getLogger("localcloud.broker")


class CloudSide:
    """MiniStack behind the names that the broker uses."""

    def __init__(self, iot: Seam) -> None:
        """Reach MiniStack by ``iot``."""
        self._iot = iot
        self.policies = Policies(iot)

    def signer_may(
        self, place: tuple[str, str], credential: tuple[str, str], action: str, resource: str
    ) -> bool:
        """Whether the IAM policies of who signed a WebSocket request allow it."""
        return bool(self._iot["_mqtt_iam_allows"](*place, credential, action, resource))

    def is_writable(self, topic: str) -> bool:
        """Whether a client may publish to a topic as far as it is reserved."""
        return bool(self._iot["_reserved_topic_publish_allowed"](topic))

    def is_readable(self, topic_filter: str) -> bool:
        """Whether a client may subscribe to a filter as far as it is reserved."""
        return bool(self._iot["_reserved_filter_subscribe_allowed"](topic_filter))

    def claim_is_over(self, certificate_id: str) -> bool:
        """Whether the provisioning claim with this certificate has expired."""
        return self._iot["_mtls_claim_scope"](certificate_id) is None

    async def provision(
        self,
        place: tuple[str, str],
        asked: Asked,
        payload: bytes,
        connection: Mapping[str, str],
    ) -> Reply:
        """Answer a fleet provisioning request; an unexpected error becomes an InternalFailure."""
        answer: Callable[..., Awaitable[Reply]] = self._iot["_fleet_provisioning_reply"]
        try:
            async with self._iot["publishing_events"]():
                what = (asked.operation, asked.template, asked.decoded(payload))
                return await answer(*place, *what, connection)
        except UNFORESEEN:
            _LOG.exception("%s failed", asked.operation)
            return rejected("InternalFailure", "The local AWS failed; its log says why", 500)

    async def publish_event(self, place: tuple[str, str], topic: str, event: object) -> None:
        """Publish to ``$aws/events``."""
        await self._iot["_publish_event"](*place, topic, event)

    def source_ip(self) -> str:
        """Return the address of the client that is served now."""
        return str(self._iot["_publish_source_ip"].get())

    def retained(self, place: tuple[str, str], topic: str) -> Any:
        """Return the retained message of a topic, or None."""
        return self._iot["broker_get_retained"](*place, topic)

    def note_connected(
        self, key: tuple[str, str, str], connection: object, why: str | None
    ) -> None:
        """Let the fleet index and DescribeThing's kin know that a client is connected."""
        self._iot["_connected_clients"][key] = connection
        self._note(key, why)

    def note_disconnected(self, key: tuple[str, str, str], connection: object, why: str) -> bool:
        """Note the end of a connection; return False if another took its place already."""
        clients = self._iot["_connected_clients"]
        if clients.get(key) is not connection:
            return False
        del clients[key]
        self._note(key, why)
        return True

    def next_version(self, key: tuple[str, str, str]) -> int:
        """Take the next ``versionNumber`` of a client's lifecycle events."""
        return int(self._iot["_next_presence_version"](*key))

    def _note(self, key: tuple[str, str, str], why: str | None) -> None:
        timestamp = self._iot["_now_epoch_millis"]()
        self._iot["_connectivity"][key] = {"timestamp": timestamp, "disconnectReason": why}


def event_topic(kind: str, client_id: str) -> str:
    """Return the topic of a lifecycle event."""
    return f"$aws/events/{_EVENT_GROUPS.get(kind, 'presence')}/{kind}/{client_id}"
