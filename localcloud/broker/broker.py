"""Delivers messages to sessions, and hands them on to rules, shadows and jobs."""

import asyncio
import logging
import random
import re
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from localcloud.broker.cloud_side import UNFORESEEN, CloudSide
from localcloud.broker.router import Place, Router
from localcloud.broker.session import Keep, Key, Message, Session
from localcloud.settings import Settings

if TYPE_CHECKING:
    from localcloud.broker.connection import Connection
    from localcloud.broker.delivery import Delivery

_BASIC_INGEST: Final = "$aws/rules/"
_RESPONSE: Final = re.compile(
    r"\$aws/things/[^/]+/jobs/(get|start-next|[^/]+/(get|update))/(accepted|rejected)"
    r"|\$aws/commands/[^/]+/[^/]+/executions/[^/]+/response/(accepted|rejected)(/(json|cbor))?"
)
"""Topics whose messages go to the requester, "whether the client has subscribed to the topic or
not", and to nobody else (developer guide, "Reserved topics", Job topics and Commands topics)."""
_CUT: Final = (OSError, RuntimeError)  # what writing to a connection that is gone raises
_RETAIN_AS_PUBLISHED: Final = 0x08
_QOS: Final = 0x03
_LOG: Final = logging.getLogger("localcloud.broker")

requester: Final[ContextVar["Delivery | None"]] = ContextVar("mqtt_requester", default=None)
"""Whose request is served now."""
HandOn = Callable[..., Awaitable[None]]


class Broker:
    """One broker for every account and Region."""

    def __init__(
        self,
        cloud: CloudSide,
        settings: Settings,
        keep: Keep,
        hand_on: HandOn,
        stalled_seconds: float = 5.0,
    ) -> None:
        """``keep`` sessions over a restart; ``hand_on`` messages to rules, shadows and jobs.

        A client that takes no message for ``stalled_seconds`` is let go.
        """
        self._stalled_seconds = stalled_seconds
        self.cloud = cloud
        self.settings = settings
        # Who gets a shared message is not a secret.
        self.router = Router(keep, random.choice)  # nosec B311
        self._hand_on = hand_on
        self._connections: dict[Key, Connection] = {}
        self._wills: dict[Key, asyncio.Task[None]] = {}

    async def publish(  # noqa: PLR0913, PLR0917  (MiniStack's broker_publish, which this stands in for)
        self,
        account: str,
        region: str,
        topic: str,
        payload: bytes,
        qos: int = 0,
        retain: bool = False,  # noqa: FBT001, FBT002
        properties: bytes = b"",
        client_id: str | None = None,
        principal: str | None = None,
    ) -> None:
        """Deliver a message to who is subscribed, then let rules, shadows and jobs have it."""
        if not topic.startswith(_BASIC_INGEST):
            new = Message(
                topic=topic,
                payload=payload,
                qos=qos,
                retain=retain,
                properties=properties,
                received_at=time.time(),
            )
            if _RESPONSE.fullmatch(topic):
                await self._answer(new)
            else:
                await self._deliver_to_all((account, region), new)
        arguments = (account, region, topic, payload, qos, retain, properties, client_id, principal)
        try:
            await self._hand_on(*arguments)
        except UNFORESEEN:  # in a rule, say: the publisher's connection goes on
            _LOG.exception("what was published to %s could not be handed on", topic)

    async def _answer(self, response: Message) -> None:
        connection = requester.get()
        if connection is not None:
            await connection.deliver_to_client(
                response["topic"], response["payload"], response["qos"]
            )

    async def _deliver_to_all(self, place: Place, new: Message) -> None:
        for session, options in list(
            self.router.receivers(place, new["topic"], self._is_connected)
        ):
            qos = min(new["qos"], options & _QOS)
            retain = new["retain"] and bool(options & _RETAIN_AS_PUBLISHED)
            await self._deliver(session, {**new, "qos": qos, "retain": retain})

    async def _deliver(self, session: Session, new: Message) -> None:
        connection = self._connections.get(session.key)
        if connection is not None:
            try:
                async with asyncio.timeout(self._stalled_seconds):
                    await connection.deliver(new)
            except TimeoutError:  # or who publishes would wait for who does not read
                await connection.stalled()
            except _CUT as error:
                _LOG.info("%s is gone: %s", session.key, error)
        elif session.is_over(time.time()):
            self.router.end(session)
        elif new["qos"]:
            session.put(new)

    def _is_connected(self, session: Session) -> bool:
        return session.key in self._connections

    def connected(self, key: Key, connection: "Connection") -> None:
        """Let a connection have its client's messages; a will that waits is not sent."""
        self._connections[key] = connection
        will = self._wills.pop(key, None)
        if will:
            will.cancel()

    def disconnected(self, key: Key, connection: object) -> None:
        """Send a connection nothing more."""
        if self._connections.get(key) is connection:
            del self._connections[key]

    def connection_of(self, key: Key) -> "Connection | None":
        """Return the connection of a client."""
        return self._connections.get(key)

    def publish_will(self, key: Key, seconds: float, *message: Any) -> None:
        """Publish a will after its delay, unless the client is back by then."""

        async def wait_and_publish() -> None:
            await asyncio.sleep(seconds)
            self._wills.pop(key, None)
            await self.publish(*message)

        self._wills[key] = asyncio.get_running_loop().create_task(wait_and_publish())

    def clear(self) -> None:
        """Forget every session and every will."""
        self.router.clear()
        for will in self._wills.values():
            will.cancel()
        self._wills.clear()
