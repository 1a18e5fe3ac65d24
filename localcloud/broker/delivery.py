"""Messages to a client: at once, in flight until it acknowledges, or kept while it has enough."""

import asyncio
import time
from typing import Final

from localcloud.broker import packets
from localcloud.broker.link import Link, keep_running
from localcloud.broker.packets import Publish
from localcloud.broker.router import matches
from localcloud.broker.session import Message, Session, properties_left

_RETRANSMIT_SECONDS: Final = 30.0
_QOS: Final = 0b11
"""In a subscription's options (MQTT 5, 3.8.3.1)."""


class Delivery(Link):
    """Sends what the client is subscribed to, and responses."""

    async def deliver_to_client(self, topic: str, payload: bytes, qos: int) -> None:
        """Send a response, whether the client is subscribed or not.

        A subscriber gets it with the granted QoS, if that is lower (MQTT 5, 3.8.4).
        """
        filters = self._session.subscriptions if self._session else {}
        granted = [options & _QOS for each, options in filters.items() if matches(each, topic)]
        await self.deliver(
            Message(
                topic=topic,
                payload=payload,
                qos=min(qos, max(granted, default=qos)),
                retain=False,
                properties=b"",
                received_at=time.time(),
            )
        )

    async def deliver(self, new: Message) -> None:
        """Send a message if the policies let the client receive it."""
        session = self._session
        if session is None or not self._policy_allows("iot:Receive", f"topic/{new['topic']}"):
            return
        if not new["qos"]:
            await self._write(0, new)
        elif session.in_flight >= self._window:
            session.put(new)
        else:
            await self._write(*session.send(new))

    async def _write(self, packet_id: int, new: Message) -> None:
        given = properties_left(new["properties"], new["received_at"], time.time())
        message = Publish(
            new["topic"], new["payload"], new["qos"], new["retain"], packet_id, given or {}
        )
        packet = packets.publish(self.protocol_version, message)
        if given is not None and len(packet) <= self._largest_packet:
            await self.send_bytes(packet)
        elif self._session:  # expired, or larger than the client takes: it never gets it
            self._session.acknowledge(packet_id)

    async def _send_unacknowledged(self, session: Session, older_than: float = 0) -> None:
        for packet_id, sent in session.unacknowledged():
            if time.time() - sent["received_at"] < older_than:
                continue
            if self._policy_allows("iot:Receive", f"topic/{sent['topic']}"):
                await self._write(packet_id, sent)
            else:
                session.acknowledge(packet_id)

    async def _send_queued(self, session: Session) -> None:
        while session.in_flight < self._window and (taken := session.send_next()):
            packet_id, new = taken
            if self._policy_allows("iot:Receive", f"topic/{new['topic']}"):
                await self._write(packet_id, new)
            else:
                session.acknowledge(packet_id)

    def _look_for_unacknowledged(self) -> None:
        if self._session and self._session.in_flight:
            sending = self._send_unacknowledged(self._session, older_than=_RETRANSMIT_SECONDS)
            keep_running(asyncio.get_running_loop().create_task(sending))
        self._wait(_RETRANSMIT_SECONDS, self._look_for_unacknowledged)
