"""paho-mqtt, aiomqtt and gmqtt: how each holds a conversation with AWS IoT."""

import asyncio
import queue
from collections.abc import Callable
from typing import Any

import aiomqtt
import gmqtt
from gmqtt.mqtt.constants import MQTTv50, MQTTv311
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.foreign.conversations import Ask, Conversation
from tests.foreign.place import Place
from tests.support.hang import SECONDS
from tests.wire.localcloud_sdk import Credential

Talk = Callable[[Place, Credential, str, int, Conversation], Any]
"""Connects as a client id with MQTT 3 (3.1.1) or 5, has the conversation, and hangs up."""


def _advance(conversation: Conversation, answer: bytes | None) -> Ask:
    return next(conversation) if answer is None else conversation.send(answer)


# --- paho ----------------------------------------------------------------------------


class Paho:
    """One connection of paho-mqtt, with its network thread."""

    def __init__(
        self,
        place: Place,
        credential: Credential,
        client_id: str,
        version: int,
        *,
        acknowledge: bool = True,
        clean: bool = True,
    ) -> None:
        protocol = MQTTProtocolVersion.MQTTv5 if version == 5 else MQTTProtocolVersion.MQTTv311
        self.client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=protocol,
            manual_ack=not acknowledge,
            clean_session=None if version == 5 else clean,
        )
        self.client.tls_set_context(place.context(credential))
        self._events: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.messages: queue.SimpleQueue[MQTTMessage] = queue.SimpleQueue()
        self.client.on_connect = lambda *_given: self._events.put("connected")
        self.client.on_subscribe = lambda *_given: self._events.put("subscribed")
        self.client.on_message = lambda _client, _user, message: self.messages.put(message)
        self.client.connect(place.cloud.mqtt_host, place.cloud.mqtt_port)
        self.client.loop_start()
        self.expect("connected")

    def expect(self, event: str) -> None:
        """Wait for an event, the next one."""
        assert self._events.get(timeout=SECONDS) == event

    def subscribe(self, topic: str) -> None:
        """Subscribe with QoS 1, and wait for SUBACK."""
        self.client.subscribe(topic, qos=1)
        self.expect("subscribed")

    def receive(self) -> MQTTMessage:
        """Return the next message."""
        return self.messages.get(timeout=SECONDS)

    def hang_up(self) -> None:
        """Disconnect."""
        self.client.disconnect()
        self.client.loop_stop()

    def cut(self) -> None:
        """Break the connection off, without DISCONNECT."""
        self.client.loop_stop()
        connection = self.client.socket()
        assert connection is not None
        connection.close()


def paho(
    place: Place, credential: Credential, client_id: str, version: int, conversation: Conversation
) -> Any:
    """Have a conversation with paho-mqtt."""
    device, answer = Paho(place, credential, client_id, version), None
    try:
        while True:
            ask = _advance(conversation, answer)
            device.subscribe(ask.answer)
            device.client.publish(ask.topic, ask.payload, qos=1)
            answer = bytes(device.receive().payload)
    except StopIteration as done:
        return done.value
    finally:
        device.hang_up()


# --- aiomqtt -------------------------------------------------------------------------


def aiomqtt_(
    place: Place, credential: Credential, client_id: str, version: int, conversation: Conversation
) -> Any:
    """Have a conversation with aiomqtt."""
    protocol = aiomqtt.ProtocolVersion.V5 if version == 5 else aiomqtt.ProtocolVersion.V311

    async def talk() -> Any:
        device = aiomqtt.Client(
            place.cloud.mqtt_host,
            place.cloud.mqtt_port,
            identifier=client_id,
            protocol=protocol,
            tls_context=place.context(credential),
        )
        answer = None
        async with asyncio.timeout(SECONDS), device:
            messages = aiter(device.messages)
            try:
                while True:
                    ask = _advance(conversation, answer)
                    await device.subscribe(ask.answer, qos=1)
                    await device.publish(ask.topic, ask.payload, qos=1)
                    answer = (await anext(messages)).payload
            except StopIteration as done:
                return done.value

    return asyncio.run(talk())


# --- gmqtt ---------------------------------------------------------------------------


def gmqtt_(
    place: Place, credential: Credential, client_id: str, version: int, conversation: Conversation
) -> Any:
    """Have a conversation with gmqtt."""

    async def talk() -> Any:
        device = gmqtt.Client(client_id)
        messages: asyncio.Queue[bytes] = asyncio.Queue()
        subscribed: asyncio.Queue[None] = asyncio.Queue()

        async def hear(_client: Any, _topic: str, payload: bytes, *_rest: Any) -> int:
            messages.put_nowait(payload)
            return 0

        device.on_message = hear
        device.on_subscribe = lambda *_given: subscribed.put_nowait(None)
        async with asyncio.timeout(SECONDS):
            await device.connect(
                place.cloud.mqtt_host,
                place.cloud.mqtt_port,
                ssl=place.context(credential),
                version=MQTTv50 if version == 5 else MQTTv311,
            )
            answer = None
            try:
                while True:
                    ask = _advance(conversation, answer)
                    device.subscribe(ask.answer, qos=1)
                    await subscribed.get()
                    device.publish(ask.topic, ask.payload, qos=1)
                    answer = await messages.get()
            except StopIteration as done:
                return done.value
            finally:
                await device.disconnect()

    return asyncio.run(talk())
