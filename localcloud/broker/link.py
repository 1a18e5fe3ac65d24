"""A connection to one client: what it is, how it is written to, what it may do."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar, Final

from localcloud.broker import limits, packets
from localcloud.broker.broker import Broker
from localcloud.broker.cloud_side import event_topic
from localcloud.broker.codec import Property
from localcloud.broker.packets import MQTT_5, MQTT_311
from localcloud.broker.policies import Principal, decide
from localcloud.broker.provisioning import request_of
from localcloud.broker.session import Session

_MOST_JUDGEMENTS: Final = 256
_LOG: Final = logging.getLogger("localcloud.broker")


Send = Callable[[Mapping[str, Any]], Awaitable[None]]


class EndError(Exception):
    """Ends the connection: ``code`` tells an MQTT 5 client, ``cause`` is the event's reason."""

    def __init__(self, code: int, text: str, cause: str = "CLIENT_ERROR") -> None:
        super().__init__(text)
        self.code = code
        self.cause = cause


class Link:
    """The state of a connection, and what every packet of it needs."""

    broker: ClassVar[Broker]

    def __init__(
        self, send: Send, account_id: str, region: str, principal: str | None = None
    ) -> None:
        """Write by ``send``, which takes ASGI's two messages of a WebSocket."""
        self._send = send
        self.account_id = account_id
        self.region = region
        self._principal = principal or account_id
        self.certificate_id: str | None = None
        self.provisioning_template: str | None = None
        self.iam_credential: tuple[str, str] | None = None
        self.protocol_version = MQTT_311
        self._client_id = ""
        self._will_topic: str | None = None
        self._will: packets.Will | None = None
        self._asks_as: Principal | None = None
        self._judged_by: tuple[str, ...] = ()
        self._judgements: dict[tuple[str, str], bool] = {}
        self._session: Session | None = None
        self._buffer = bytearray()
        self._send_lock = asyncio.Lock()
        self._aliases: dict[int, str] = {}
        self._window = limits.MOST_IN_FLIGHT
        self._largest_packet = limits.LARGEST_PACKET
        self._keep_alive = limits.LONGEST_KEEP_ALIVE
        self._version_number = 0
        self._ended_by: str | None = None
        self._is_open = True
        self._was_let_in = False
        self._heard_at = 0.0
        self._timers: list[asyncio.TimerHandle] = []

    @property
    def key(self) -> tuple[str, str, str]:
        """Account, Region and client id."""
        return self.account_id, self.region, self._client_id

    @property
    def place(self) -> tuple[str, str]:
        """Account and Region."""
        return self.account_id, self.region

    async def send_bytes(self, packet: bytes) -> None:
        """Write a packet."""
        async with self._send_lock:
            await self._send({"type": "websocket.send", "bytes": packet})

    async def _end(self, end: EndError) -> None:
        """Say why, as far as the protocol lets us, and serve nothing more."""
        self._is_open = False
        self._ended_by = self._ended_by or end.cause
        _LOG.warning("connection of %r ends: %s", self._client_id, end)
        if self.protocol_version != MQTT_5:
            return
        packet = packets.disconnect(end.code, str(end))
        if not self._was_let_in:
            packet = packets.connack(MQTT_5, end.code, {Property.REASON_STRING: str(end)})
        with contextlib.suppress(OSError, RuntimeError):
            await self.send_bytes(packet)

    def _wait(self, seconds: float, then: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        self._timers = [one for one in self._timers if one.when() > loop.time()]
        self._timers.append(loop.call_later(seconds, then))

    def _policy_allows(self, action: str, resource: str) -> bool:
        """Whether the certificate's policies, or the signer's, allow ``action``."""
        cloud = self.broker.cloud
        if self.iam_credential is not None:
            return cloud.signer_may(self.place, self.iam_credential, action, resource)
        if self._asks_as is None:
            return self.certificate_id is None
        documents = cloud.policies.documents(self._asks_as)
        if documents != self._judged_by or len(self._judgements) > _MOST_JUDGEMENTS:
            self._judged_by = documents
            self._judgements.clear()  # a device asks the same often
        allowed = self._judgements.get((action, resource))
        if allowed is None:
            arn = self._asks_as.arn(resource)
            allowed = decide(self._asks_as, action, arn, documents) == "Allow"
            self._judgements[action, resource] = allowed
        return allowed

    def _publish_allowed(self, topic: str, *, retain: bool) -> bool:
        if self.certificate_id is None and request_of(topic):
            return False  # it writes the registry
        resource = f"topic/{topic}"
        return self._policy_allows("iot:Publish", resource) and (
            not retain or self._policy_allows("iot:RetainPublish", resource)
        )

    def _event(self, kind: str, **fields: object) -> Mapping[str, object]:
        return {
            "clientId": self._client_id,
            "timestamp": int(time.time() * 1000),
            "eventType": kind,
            "sessionIdentifier": self._session.identifier if self._session else "",
            "principalIdentifier": self._principal,
            **fields,
        }

    async def _publish_event(self, kind: str, event: Mapping[str, object]) -> None:
        if "#" in self._client_id or "+" in self._client_id:
            return  # AWS documents that these have no lifecycle events
        topic = event_topic(kind, self._client_id)
        await self.broker.cloud.publish_event(self.place, topic, event)


_running: Final[set[asyncio.Task[None]]] = set()  # the loop keeps no reference of its own


def keep_running(task: asyncio.Task[None]) -> None:
    """Hold a task until it ends."""
    _running.add(task)
    task.add_done_callback(_running.discard)
