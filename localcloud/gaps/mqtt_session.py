"""MQTT sessions, delivery and limits as AWS IoT Core has them; our broker serves the packets.

What AWS does and where it says so stands in `localcloud.broker`; docs/adr/0017 says why it
replaces MiniStack's session instead of wrapping it. In short, MiniStack loses QoS 1 messages that
were not acknowledged, and persistent sessions when it is restarted; it enforces no keep-alive;
responses need a subscription; it grants shared subscriptions and delivers nothing; will delay,
topic aliases, flow control and most limits are not there.
"""

import time
from collections.abc import Callable
from typing import Any, cast

from localcloud.broker.broker import Broker
from localcloud.broker.cloud_side import CloudSide
from localcloud.broker.connection import Connection
from localcloud.broker.session import Key, Record
from localcloud.gaps.seam import Seam
from localcloud.gaps.stores import add_store
from localcloud.settings import Settings


def is_open(iot: Seam) -> bool:
    """Whether MiniStack still ignores the keep-alive of a CONNECT."""
    return "keep_alive" not in Seam(iot["_WSSession"])["_dispatch_packet"].__code__.co_varnames


def close(iot: Seam, settings: Settings) -> Callable[[], None]:
    """Serve every connection by our broker.

    Returns:
        What takes up the sessions that were saved.
    """
    store = add_store(iot, "mqtt_sessions")

    def save(key: Key, record: Record) -> None:
        store.set_scoped(*key, record)

    def forget(key: Key) -> None:
        store.pop_scoped(*key, None)

    broker = Broker(CloudSide(iot), settings, save, forget, iot["broker_publish"])
    iot["_WSSession"] = type("Connection", (Connection,), {"broker": broker})
    iot["_feed_session"] = _feed
    iot["broker_publish"] = broker.publish
    _forget_at_reset(iot, broker)
    return lambda: _resume(store, broker)


async def _feed(connection: Connection, data: bytes, _limit: int) -> bool:
    return await connection.feed(data)


def _forget_at_reset(iot: Seam, broker: Broker) -> None:
    reset: Callable[[], None] = iot["reset"]

    def reset_and_forget() -> None:
        reset()
        broker.clear()

    iot["reset"] = reset_and_forget


def _resume(store: Any, broker: Broker) -> None:
    for key, record in store.all_items():
        session = broker.router.restore(key, cast("Record", record))
        if record["left_at"] is None:  # it was connected when the process ended
            session.left(time.time())
