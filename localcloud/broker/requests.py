"""PUBLISH, SUBSCRIBE and UNSUBSCRIBE, as AWS IoT Core serves and refuses them."""

import logging
from typing import Final

from localcloud.broker import codec, limits, packets
from localcloud.broker.broker import requester
from localcloud.broker.codec import Properties, Property
from localcloud.broker.delivery import Delivery
from localcloud.broker.link import EndError
from localcloud.broker.packets import FAILURE_311, MQTT_5, Publish, Reason
from localcloud.broker.provisioning import Asked, Reply, request_of
from localcloud.broker.session import Message, Session

_FORWARDED: Final = frozenset(
    {
        Property.PAYLOAD_FORMAT,
        Property.MESSAGE_EXPIRY,
        Property.CONTENT_TYPE,
        Property.RESPONSE_TOPIC,
        Property.CORRELATION_DATA,
        Property.USER_PROPERTY,
    }
)
_QOS: Final = 0x03
_NO_RETAINED_IF_KNOWN: Final = 1
_NO_RETAINED: Final = 2
_LOG: Final = logging.getLogger("localcloud.broker")


class Requests(Delivery):
    """Serves a client that is connected."""

    async def _publish(self, message: Publish) -> None:
        topic = self._topic_of(message)
        self._check_publish(topic, message)
        refusal = self._refusal(topic, message)
        if refusal:
            await self._refuse_publish(message, *refusal)
            return
        token = requester.set(self)
        try:
            await self.broker.publish(
                *self.place,
                topic,
                message.payload,
                message.qos,
                message.retain,
                forwarded(message.properties),
                self._client_id,
                self._principal,
            )
        finally:
            requester.reset(token)
        if message.qos:
            await self.send_bytes(packets.puback(self.protocol_version, message.packet_id))
        asked = request_of(topic)
        if asked:
            kind, document = await self._reply_to(asked, message.payload)
            await self._send_reply(asked, f"{topic}/{kind}", document)

    def _topic_of(self, message: Publish) -> str:
        alias = message.properties.get(Property.TOPIC_ALIAS)
        if alias is None:
            return message.topic
        if not 0 < alias <= limits.MOST_ALIASES:
            raise EndError(Reason.ALIAS_INVALID, f"the topic alias {alias} is not 1 to 8")
        if message.topic:
            self._aliases[alias] = message.topic
        elif alias not in self._aliases:
            raise EndError(Reason.PROTOCOL_ERROR, f"the topic alias {alias} means nothing yet")
        return self._aliases[alias]

    def _check_publish(self, topic: str, message: Publish) -> None:
        if message.qos > 1:
            raise EndError(Reason.QOS_UNSUPPORTED, "AWS IoT takes no QoS 2")
        error = limits.topic_error(topic)
        if error:
            raise EndError(Reason.TOPIC_INVALID, error)
        error = limits.payload_error(message.payload)
        if error:
            raise EndError(Reason.TOO_LARGE, error)

    def _refusal(self, topic: str, message: Publish) -> tuple[int, str] | None:
        cloud = self.broker.cloud
        if not cloud.is_writable(topic):
            return Reason.TOPIC_INVALID, f"{topic} is a reserved topic"
        if self.provisioning_template and cloud.claim_is_over(self.certificate_id or ""):
            return Reason.NOT_AUTHORIZED, "the provisioning claim has expired"
        if not self._publish_allowed(topic, retain=message.retain):
            return Reason.NOT_AUTHORIZED, f"the policies do not allow iot:Publish on {topic}"
        return None

    async def _refuse_publish(self, message: Publish, code: int, text: str) -> None:
        """MQTT 5 is told in PUBACK and stays; 3.1.1, QoS 0 and an expired claim are cut off."""
        claim_over = self.provisioning_template and "expired" in text
        if message.qos and claim_over:  # as AWS does: acknowledged, then closed
            await self.send_bytes(packets.puback(self.protocol_version, message.packet_id))
        elif message.qos and self.protocol_version == MQTT_5:
            _LOG.warning("PUBLISH of %r refused: %s", self._client_id, text)
            packet = packets.puback(MQTT_5, message.packet_id, code)
            await self.send_bytes(packet)
            return
        raise self._unauthorized(text) if code == Reason.NOT_AUTHORIZED else EndError(code, text)

    def _unauthorized(self, text: str) -> EndError:
        """Return the end of a connection for a packet that the policies do not allow.

        Its session is not sent anything more, its own will included.
        """
        cause = "AUTH_ERROR" if self.protocol_version == MQTT_5 else "CLIENT_ERROR"
        self.broker.disconnected(self.key, self)
        return EndError(Reason.NOT_AUTHORIZED, text, cause)

    async def _reply_to(self, asked: Asked, payload: bytes) -> Reply:
        connection = {"clientId": self._client_id}
        if self._principal != self.account_id:
            connection["claimCertificateId"] = self._principal
        return await self.broker.cloud.provision(self.place, asked, payload, connection)

    async def _send_reply(self, asked: Asked, topic: str, document: dict[str, object]) -> None:
        """Answer on this connection, subscribed or not, as AWS does."""
        await self.deliver_to_client(topic, asked.encoded(document), 1)

    async def _subscribe(self, asked: packets.Subscribe) -> None:
        session = self._session
        if session is None:
            return
        if len(asked.filters) > limits.MOST_FILTERS:
            text = f"SUBSCRIBE has more than {limits.MOST_FILTERS} topic filters"
            raise EndError(Reason.QUOTA_EXCEEDED, text)
        if Property.SUBSCRIPTION_ID in asked.properties:
            text = "AWS IoT has no subscription identifiers"
            raise EndError(Reason.SUBSCRIPTION_ID_UNSUPPORTED, text)
        codes: list[int] = []
        granted: list[tuple[str, int, bool]] = []
        for topic_filter, options in asked.filters:
            code = self._subscription_code(session, topic_filter, options)
            codes.append(code)
            if code <= 1:
                qos_and_rest = options & ~_QOS | code
                is_new = self.broker.router.subscribe(session, topic_filter, qos_and_rest)
                granted.append((topic_filter, options, is_new))
        await self.send_bytes(packets.suback(self.protocol_version, asked.packet_id, codes))
        for topic_filter, options, is_new in granted:
            await self._send_retained(topic_filter, options, is_new=is_new)
        if granted:
            topics = [topic_filter for topic_filter, _options, _is_new in granted]
            await self._publish_event("subscribed", self._event("subscribed", topics=topics))
        if FAILURE_311 in codes or Reason.QUOTA_EXCEEDED in codes:
            text = f"a connection has {limits.MOST_SUBSCRIPTIONS} subscriptions at most"
            raise EndError(Reason.QUOTA_EXCEEDED, text)

    def _subscription_code(self, session: Session, topic_filter: str, options: int) -> int:
        """Return the granted QoS, or the code that refuses; 3.1.1 is cut off for what is wrong."""
        refusal = self._subscription_refusal(topic_filter)
        if refusal:
            code, text = refusal
            if self.protocol_version != MQTT_5:
                denied = code == Reason.NOT_AUTHORIZED
                raise self._unauthorized(text) if denied else EndError(code, text)
            _LOG.warning("SUBSCRIBE of %r refused: %s", self._client_id, text)
            return code
        is_known = topic_filter in session.subscriptions
        if not is_known and len(session.subscriptions) >= limits.MOST_SUBSCRIPTIONS:
            is_5 = self.protocol_version == MQTT_5
            return Reason.QUOTA_EXCEEDED if is_5 else FAILURE_311
        return min(options & _QOS, 1)

    def _subscription_refusal(self, topic_filter: str) -> tuple[int, str] | None:
        error = limits.filter_error(topic_filter)
        if error:
            return Reason.FILTER_INVALID, error
        if not self.broker.cloud.is_readable(topic_filter):
            return Reason.FILTER_INVALID, f"{topic_filter} is a reserved filter"
        if not self._policy_allows("iot:Subscribe", f"topicfilter/{topic_filter}"):
            text = f"the policies do not allow iot:Subscribe on {topic_filter}"
            return Reason.NOT_AUTHORIZED, text
        return None

    async def _send_retained(self, topic_filter: str, options: int, *, is_new: bool) -> None:
        handling = options >> 4 & 3
        is_unwanted = handling == _NO_RETAINED or (handling == _NO_RETAINED_IF_KNOWN and not is_new)
        if is_unwanted or any(sign in topic_filter for sign in "+#"):
            return  # AWS sends no retained messages to a filter with a wildcard
        kept = self.broker.cloud.retained(self.place, topic_filter)
        if kept is not None:
            await self.deliver(
                Message(
                    topic=topic_filter,
                    payload=kept.payload,
                    qos=min(kept.qos, options & _QOS),
                    retain=True,
                    properties=kept.properties,
                    received_at=kept.ts,
                )
            )

    async def _unsubscribe(self, packet_id: int, filters: list[str]) -> None:
        session = self._session
        if session is None:
            return
        was = [self.broker.router.unsubscribe(session, one) for one in filters]
        codes = [Reason.SUCCESS if one else Reason.NO_SUBSCRIPTION for one in was]
        await self.send_bytes(packets.unsuback(self.protocol_version, packet_id, codes))
        await self._publish_event("unsubscribed", self._event("unsubscribed", topics=filters))


def forwarded(given: Properties) -> bytes:
    """Return what a subscriber gets of the properties of a message."""
    kept = {name: value for name, value in given.items() if name in _FORWARDED}
    return codec.properties(kept) if kept else b""
