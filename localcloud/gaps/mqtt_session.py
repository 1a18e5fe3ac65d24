"""MQTT sessions, delivery and limits as AWS IoT Core has them; our broker serves the packets.

What AWS does and where it says so stands in `localcloud.broker`; docs/adr/0017 says why it
replaces MiniStack's session instead of wrapping it. In short, MiniStack loses QoS 1 messages that
were not acknowledged, and persistent sessions when it is restarted; it enforces no keep-alive;
responses need a subscription; it grants shared subscriptions and delivers nothing; will delay,
topic aliases, flow control and most limits are not there.
"""

import time
from collections.abc import Callable
from operator import itemgetter
from typing import cast

from localcloud.broker.broker import Broker
from localcloud.broker.cloud_side import CloudSide
from localcloud.broker.connection import Connection
from localcloud.broker.session import Key, Message, Record
from localcloud.gaps._support.stores import add_store
from localcloud.seam import Seam
from localcloud.settings import Settings


def is_open(iot: Seam) -> bool:
    """Whether MiniStack still ignores the keep-alive of a CONNECT."""
    return "keep_alive" not in Seam(iot["_WSSession"])["_dispatch_packet"].__code__.co_varnames


def close(iot: Seam, settings: Settings) -> Callable[[], None]:
    """Serve every connection by our broker.

    Returns:
        What takes up the sessions that were saved.
    """
    kept = _Kept(iot)
    broker = Broker(CloudSide(iot), settings, kept, iot["broker_publish"])
    iot["_WSSession"] = type("Connection", (Connection,), {"broker": broker})
    iot["_feed_session"] = _feed
    iot["broker_publish"] = broker.publish
    _forget_at_reset(iot, broker)
    return lambda: kept.resume(broker)


class _Kept:
    """Sessions and messages in stores that are saved with MiniStack's."""

    def __init__(self, iot: Seam) -> None:
        """Add the stores to ``iot``."""
        self._sessions = add_store(iot, "mqtt_sessions")
        self._messages = add_store(iot, "mqtt_messages")

    def keep_session(self, key: Key, record: Record) -> None:
        self._sessions.set_scoped(*key, record)

    def forget_session(self, key: Key) -> None:
        self._sessions.pop_scoped(*key, None)

    def keep_message(self, key: Key, number: int, message: Message) -> None:
        account, region, client_id = key
        self._messages.set_scoped(account, region, (client_id, number), message)

    def forget_message(self, key: Key, number: int) -> None:
        account, region, client_id = key
        self._messages.pop_scoped(account, region, (client_id, number), None)

    def resume(self, broker: Broker) -> None:
        """Take up what was saved."""
        messages: dict[Key, list[tuple[int, Message]]] = {}
        for (account, region, (client_id, number)), message in self._messages.all_items():
            messages.setdefault((account, region, client_id), []).append((number, message))
        for key, record in self._sessions.all_items():
            session = broker.router.restore(key, cast("Record", record))
            for number, message in sorted(messages.get(key, []), key=itemgetter(0)):
                session.restore(number, message)
            if record["left_at"] is None:  # it was connected when the process ended
                session.left(time.time())


async def _feed(connection: Connection, data: bytes, _limit: int) -> bool:
    return await connection.feed(data)


def _forget_at_reset(iot: Seam, broker: Broker) -> None:
    reset: Callable[[], None] = iot["reset"]

    def reset_and_forget() -> None:
        reset()
        broker.clear()

    iot["reset"] = reset_and_forget
