"""One MQTT connection, as AWS IoT Core serves it.

The developer guide's MQTT page is the source: persistent sessions, QoS 1 redelivery, keep-alive
(a client is gone after 1.5 times its interval), wills, the properties of CONNACK, topic aliases,
and what is refused. Names with a leading underscore that other modules of localcloud replace or
read (fault injection, the wire log) are those of MiniStack's session, which this stands in for.
"""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar, Final
from uuid import uuid4

from localcloud.broker import codec, limits, packets
from localcloud.broker.broker import Broker, requester
from localcloud.broker.cloud_side import Context, event_topic
from localcloud.broker.codec import MalformedError, Properties, Property
from localcloud.broker.packets import FAILURE_311, MQTT_5, MQTT_311, Kind, Publish, Reason
from localcloud.broker.session import Message, Session, properties_left

_SILENCE: Final = 1.5  # times the keep-alive interval
_RETRANSMIT_SECONDS: Final = 30.0
_GOODBYE_SECONDS: Final = 1.0
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

Send = Callable[[Mapping[str, Any]], Awaitable[None]]


class EndError(Exception):
    """Ends the connection: ``code`` tells an MQTT 5 client, ``cause`` is the event's reason."""

    def __init__(self, code: int, text: str, cause: str = "CLIENT_ERROR") -> None:
        super().__init__(text)
        self.code = code
        self.cause = cause


class Connection:
    """Serves the packets of one client, one after the other."""

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
        self._policy_context: Context = {}
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

    # --- bytes -----------------------------------------------------------------------

    async def feed(self, data: bytes) -> bool:
        """Serve each packet that ``data`` completes; return whether the connection goes on."""
        self._buffer += data
        if self._session is None and self._buffer[0] >> 4 != Kind.CONNECT:
            return False  # HTTP, WebSocket, or no MQTT client: its first packet is no CONNECT
        try:
            for kind, flags, body in packets.split(self._buffer):
                if not await self.handle_packet(kind, flags, body):
                    return False
        except MalformedError as error:
            await self._end(EndError(Reason.MALFORMED, str(error)))
            return False
        if len(self._buffer) > limits.LARGEST_PACKET:
            await self._end(EndError(Reason.TOO_LARGE, "the packet is too large"))
            return False
        return True

    async def send_bytes(self, packet: bytes) -> None:
        """Write a packet."""
        async with self._send_lock:
            await self._send({"type": "websocket.send", "bytes": packet})

    async def handle_packet(self, kind: int, flags: int, body: bytes) -> bool:
        """Serve one packet; return whether the connection goes on."""
        self._heard_at = asyncio.get_running_loop().time()
        try:
            await self._serve(kind, flags, body)
        except EndError as end:
            await self._end(end)
        except MalformedError as error:
            await self._end(EndError(Reason.MALFORMED, str(error)))
        return self._is_open

    async def _serve(self, kind: int, flags: int, body: bytes) -> None:
        if kind == Kind.CONNECT:
            await self._connect(body)
        elif self._session is None:
            raise EndError(Reason.PROTOCOL_ERROR, "the first packet is not CONNECT")
        elif kind == Kind.PUBLISH:
            await self._publish(packets.read_publish(flags, body, self.protocol_version))
        elif kind == Kind.PUBACK:
            self._session.acknowledge(packets.read_puback(body))
            await self._send_queued(self._session)
        elif kind == Kind.SUBSCRIBE:
            await self._subscribe(packets.read_subscribe(body, self.protocol_version))
        elif kind == Kind.UNSUBSCRIBE:
            await self._unsubscribe(*packets.read_unsubscribe(body, self.protocol_version))
        elif kind == Kind.PINGREQ:
            await self.send_bytes(packets.pingresp())
        elif kind == Kind.DISCONNECT:
            self._disconnect(*packets.read_disconnect(body, self.protocol_version))
        else:
            raise EndError(Reason.PROTOCOL_ERROR, f"a client does not send packets of type {kind}")

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

    # --- CONNECT and DISCONNECT ------------------------------------------------------

    async def _connect(self, body: bytes) -> None:
        if self._session is not None:
            raise EndError(Reason.PROTOCOL_ERROR, "a second CONNECT")
        try:
            asked = packets.read_connect(body)
        except packets.VersionError:
            # 3.1.1's form is the one that every client reads as a return code.
            code = packets.UNACCEPTABLE_VERSION_311
            await self.send_bytes(packets.connack(MQTT_311, code, {}))
            self._is_open = False
            return
        self.protocol_version = asked.version
        self._check_connect(asked)
        self._client_id = asked.client_id or uuid4().hex
        self._will, self._will_topic = asked.will, asked.will.topic if asked.will else None
        if not await self._let_in():
            return
        await self._begin(asked)

    def _check_connect(self, asked: packets.Connect) -> None:
        error = limits.client_id_error(asked.client_id)
        if error:
            raise EndError(Reason.CLIENT_ID_INVALID, error)
        if asked.will and asked.will.qos > 1:
            raise EndError(Reason.QOS_UNSUPPORTED, "the will has QoS 2")
        if asked.will and (error := limits.topic_error(asked.will.topic)):
            raise EndError(Reason.TOPIC_INVALID, f"the will: {error}")
        if asked.will and (error := limits.payload_error(asked.will.payload)):
            raise EndError(Reason.TOO_LARGE, f"the will: {error}")

    async def _let_in(self) -> bool:
        if self.certificate_id is not None:
            self._policy_context = self.broker.cloud.policy_context(
                *self.place, self.certificate_id, self._client_id
            )
        denied = None
        if not self._policy_allows("iot:Connect", f"client/{self._client_id}"):
            denied = f"iot:Connect on client/{self._client_id}"
        elif self._will and not self._publish_allowed(self._will.topic, retain=self._will.retain):
            denied = f"the will on topic/{self._will.topic}"
        if denied:
            await self._refuse(denied)
        return not denied

    async def _refuse(self, denied: str) -> None:
        ip, why = self.broker.cloud.source_ip(), "AUTHORIZATION_FAILED"
        fields = {"connectFailureReason": why, "ipAddress": ip}
        event = self._event("connect_failed", sessionIdentifier=str(uuid4()), **fields)
        await self._publish_event("connect_failed", event)
        self._client_id, self._will_topic, self._will = "", None, None
        raise EndError(Reason.NOT_AUTHORIZED, f"the policies do not allow {denied}")

    async def _begin(self, asked: packets.Connect) -> None:
        cloud = self.broker.cloud
        self._version_number = cloud.next_version(self.key)
        other = self.broker.connection_of(self.key)
        if other is not None:
            await other.take_over()
        session, present = self._take_session(asked)
        self._session, self._was_let_in = session, True
        self.broker.connected(self.key, self)
        cloud.note_connected(self.key, self, "DUPLICATE_CLIENTID" if other else None)
        self._limit(asked)
        code = packets.connack(
            self.protocol_version,
            Reason.SUCCESS,
            self._connack_properties(asked),
            session_present=present,
        )
        await self.send_bytes(code)
        await self._send_unacknowledged(session)
        await self._send_queued(session)
        ip = cloud.source_ip()
        event = self._event("connected", ipAddress=ip, versionNumber=self._version_number)
        await self._publish_event("connected", event)

    def _take_session(self, asked: packets.Connect) -> tuple[Session, bool]:
        """Return the session to go on with, and whether the client had it before."""
        if self.protocol_version == MQTT_5:
            expiry = asked.properties.get(Property.SESSION_EXPIRY, 0)
        else:
            expiry = 0 if asked.clean else limits.SESSION_311
        known = None if asked.clean else self.broker.router.find(self.key, time.time())
        if known is None:
            return self.broker.router.begin(self.key, expiry), False
        known.set_expiry(expiry)
        known.returned()
        return known, True

    def _limit(self, asked: packets.Connect) -> None:
        receive = asked.properties.get(Property.RECEIVE_MAXIMUM, limits.MOST_IN_FLIGHT)
        self._window = min(receive, limits.MOST_IN_FLIGHT)
        largest = asked.properties.get(Property.MAXIMUM_PACKET_SIZE, limits.LARGEST_PACKET)
        self._largest_packet = min(largest, limits.LARGEST_PACKET)
        least = self.broker.settings.least_keep_alive_seconds
        self._keep_alive = limits.keep_alive_of(asked.keep_alive, least)
        self._wait(_SILENCE * self._keep_alive, self._look_for_silence)
        self._wait(_RETRANSMIT_SECONDS, self._look_for_unacknowledged)

    def _connack_properties(self, asked: packets.Connect) -> Properties:
        assigned: dict[Property, Any] = {}
        if not asked.client_id:
            assigned[Property.ASSIGNED_CLIENT_ID] = self._client_id
        return {
            **assigned,
            Property.SESSION_EXPIRY: self._session.expiry if self._session else 0,
            Property.RECEIVE_MAXIMUM: limits.MOST_IN_FLIGHT,
            Property.MAXIMUM_QOS: 1,
            Property.RETAIN_AVAILABLE: 1,
            Property.MAXIMUM_PACKET_SIZE: limits.LARGEST_PACKET,
            Property.TOPIC_ALIAS_MAXIMUM: limits.MOST_ALIASES,
            Property.WILDCARD_AVAILABLE: 1,
            Property.SUBSCRIPTION_ID_AVAILABLE: 0,
            Property.SHARED_AVAILABLE: 1,
            Property.SERVER_KEEP_ALIVE: self._keep_alive,
        }

    def _disconnect(self, reason: int, given: Properties) -> None:
        if self._session and Property.SESSION_EXPIRY in given:
            self._session.set_expiry(given[Property.SESSION_EXPIRY])
        if reason != Reason.DISCONNECT_WITH_WILL:
            self._will = None
        self._ended_by = "CLIENT_INITIATED_DISCONNECT"
        self._is_open = False

    async def take_over(self) -> None:
        """End, for the same client id has connected again."""
        end = EndError(
            Reason.TAKEN_OVER, "this client id has connected again", "DUPLICATE_CLIENTID"
        )
        await self.close(end)

    async def close(self, end: EndError) -> None:
        """End the connection from the cloud's side, whatever the client does."""
        self._ended_by = end.cause
        await self.cleanup()
        with contextlib.suppress(OSError, RuntimeError, TimeoutError):
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await self._end(end)
                await self._send({"type": "websocket.close", "code": 1000})

    async def cleanup(self) -> None:
        """Leave the session, publish the will and the event; a second time does nothing."""
        self._is_open = False
        for timer in self._timers:
            timer.cancel()
        session, self._session = self._session, None
        if session is None:
            return
        self.broker.disconnected(self.key, self)
        if self.broker.router.holds(session):
            session.left(time.time())
            if not session.expiry:
                self.broker.router.end(session)
        self._leave_will(session)
        await self._publish_disconnected(session)

    def _leave_will(self, session: Session) -> None:
        will = self._will
        if will is None:
            return
        delay = min(will.properties.get(Property.WILL_DELAY, 0), session.expiry)
        block = _forwarded(will.properties)
        message = (*self.place, will.topic, will.payload, will.qos, will.retain, block)
        self.broker.publish_will(self.key, delay, *message)

    async def _publish_disconnected(self, session: Session) -> None:
        why = self._ended_by or "CONNECTION_LOST"
        if not self.broker.cloud.note_disconnected(self.key, self, why):
            return
        self.broker.cloud.next_version(self.key)
        event = self._event(
            "disconnected",
            sessionIdentifier=session.identifier,
            clientInitiatedDisconnect=why == "CLIENT_INITIATED_DISCONNECT",
            disconnectReason=why,
            versionNumber=self._version_number,
        )
        await self._publish_event("disconnected", event)

    # --- silence ---------------------------------------------------------------------

    def _wait(self, seconds: float, then: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        self._timers = [one for one in self._timers if one.when() > loop.time()]
        self._timers.append(loop.call_later(seconds, then))

    def _look_for_silence(self) -> None:
        silent = asyncio.get_running_loop().time() - self._heard_at
        left = _SILENCE * self._keep_alive - silent
        if left > 0:
            self._wait(left, self._look_for_silence)
            return
        text = f"nothing was heard for {silent:.0f} s; the keep-alive is {self._keep_alive} s"
        end = EndError(Reason.KEEP_ALIVE_TIMEOUT, text, "MQTT_KEEP_ALIVE_TIMEOUT")
        _keep(asyncio.get_running_loop().create_task(self.close(end)))

    def _look_for_unacknowledged(self) -> None:
        if self._session and self._session.in_flight:
            sending = self._send_unacknowledged(self._session, older_than=_RETRANSMIT_SECONDS)
            _keep(asyncio.get_running_loop().create_task(sending))
        self._wait(_RETRANSMIT_SECONDS, self._look_for_unacknowledged)

    # --- to the client ---------------------------------------------------------------

    async def deliver_to_client(self, topic: str, payload: bytes, qos: int) -> None:
        """Send a response, whether the client is subscribed or not."""
        await self.deliver(
            Message(
                topic=topic,
                payload=payload,
                qos=qos,
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

    # --- PUBLISH ---------------------------------------------------------------------

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
                _forwarded(message.properties),
                self._client_id,
                self._principal,
            )
        finally:
            requester.reset(token)
        if message.qos:
            await self.send_bytes(packets.puback(self.protocol_version, message.packet_id))
        asked = self.broker.cloud.provisioning_request(topic)
        if asked:
            await self._answer_fleet_provisioning(topic, *asked, message.payload)

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

    async def _answer_fleet_provisioning(
        self, topic: str, operation: str, template: str | None, payload: bytes
    ) -> None:
        """Answer on this connection, subscribed or not, as AWS does."""
        connection = {"clientId": self._client_id}
        if self._principal != self.account_id:
            connection["claimCertificateId"] = self._principal
        kind, document = await self.broker.cloud.provision(
            self.place, operation, template, payload, connection
        )
        await self.deliver_to_client(f"{topic}/{kind}", json.dumps(document).encode(), 1)

    # --- SUBSCRIBE and UNSUBSCRIBE ---------------------------------------------------

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

    # --- policies and events ---------------------------------------------------------

    def _policy_allows(self, action: str, resource: str) -> bool:
        """Whether the certificate's policies, or the signer's, allow ``action``."""
        cloud = self.broker.cloud
        if self.iam_credential is not None:
            return cloud.signer_may(self.place, self.iam_credential, action, resource)
        if self.certificate_id is None:
            return True
        context, template = self._policy_context, self.provisioning_template
        return cloud.certificate_may(
            self.place, self.certificate_id, context, action, resource, template
        )

    def _publish_allowed(self, topic: str, *, retain: bool) -> bool:
        if self.certificate_id is None and self.broker.cloud.provisioning_request(topic):
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


def _forwarded(given: Properties) -> bytes:
    """Return what a subscriber gets of the properties of a message."""
    kept = {name: value for name, value in given.items() if name in _FORWARDED}
    return codec.properties(kept) if kept else b""


_running: Final[set[asyncio.Task[None]]] = set()  # the loop keeps no reference of its own


def _keep(task: asyncio.Task[None]) -> None:
    _running.add(task)
    task.add_done_callback(_running.discard)
