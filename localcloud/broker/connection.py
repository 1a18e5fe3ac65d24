"""One MQTT connection, as AWS IoT Core serves it.

The developer guide's MQTT page is the source: persistent sessions, QoS 1 redelivery, keep-alive
(a client is gone after 1.5 times its interval), wills, the properties of CONNACK, topic aliases,
and what is refused. It stands in for MiniStack's session; faults, the wire log and the journal
derive from it.
"""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from typing import Any, Final
from uuid import uuid4

from localcloud.broker import limits, packets
from localcloud.broker.codec import MalformedError, Properties, Property
from localcloud.broker.link import EndError, keep_running
from localcloud.broker.packets import MQTT_5, MQTT_311, Kind, Reason
from localcloud.broker.requests import Requests, forwarded
from localcloud.broker.session import Session

_SILENCE: Final = 1.5  # times the keep-alive interval
_RETRANSMIT_SECONDS: Final = 30.0
_GOODBYE_SECONDS: Final = 1.0
_NEVER_ZERO: Final = (Property.RECEIVE_MAXIMUM, Property.MAXIMUM_PACKET_SIZE)


class Connection(Requests):
    """Serves the packets of one client, one after the other."""

    async def feed(self, data: bytes) -> bool:
        """Serve each packet that ``data`` completes; return whether the connection goes on."""
        self._buffer += data
        if self._session is None and self._buffer[0] >> 4 != Kind.CONNECT:
            return False  # HTTP, WebSocket, or no MQTT client: its first packet is not a CONNECT
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
        if not asked.client_id and not asked.clean and asked.version == MQTT_311:
            error = "a persistent session needs a client id"
        if error:
            raise EndError(Reason.CLIENT_ID_INVALID, error)
        if 0 in {asked.properties.get(each) for each in _NEVER_ZERO}:
            raise EndError(Reason.PROTOCOL_ERROR, "Receive Maximum or Maximum Packet Size is 0")
        if asked.will and asked.will.qos > 1:
            raise EndError(Reason.QOS_UNSUPPORTED, "the will has QoS 2")
        if asked.will and (error := limits.topic_error(asked.will.topic)):
            raise EndError(Reason.TOPIC_INVALID, f"the will: {error}")
        if asked.will and (error := limits.payload_error(asked.will.payload)):
            raise EndError(Reason.TOO_LARGE, f"the will: {error}")

    async def _let_in(self) -> bool:
        if self.certificate_id is not None:
            self._asks_as = self.broker.cloud.policies.principal(
                self.place, self.certificate_id, self._client_id, self.provisioning_template
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
        """Return the session to continue with, and whether the client had it before."""
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
            async with asyncio.timeout(_GOODBYE_SECONDS):  # a half-open connection takes nothing
                await self._end(end)
        with contextlib.suppress(OSError, RuntimeError):
            await self._send({"type": "websocket.close", "code": 1000})

    async def stalled(self) -> None:
        """End, for the client does not read what it is sent."""
        text = "the client does not read"
        await self.close(EndError(Reason.QUOTA_EXCEEDED, text, "CONNECTION_LOST"))

    def drop_will(self) -> None:
        """Publish no will when the connection ends."""
        self._will = None

    def drop_session(self) -> None:
        """Keep nothing of the session when the connection ends."""
        if self._session:
            self._session.set_expiry(0)

    def described(self) -> Mapping[str, object]:
        """Return what GetConnection tells of it, beside the time."""
        expiry = self._session.expiry if self._session else 0
        return {
            "keepAliveDuration": self._keep_alive,
            "cleanSession": not expiry,
            "sessionExpiry": expiry,
        }

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
        block = forwarded(will.properties)
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

    def _look_for_silence(self) -> None:
        silent = asyncio.get_running_loop().time() - self._heard_at
        left = _SILENCE * self._keep_alive - silent
        if left > 0:
            self._wait(left, self._look_for_silence)
            return
        text = f"nothing was heard for {silent:.0f} s; the keep-alive is {self._keep_alive} s"
        end = EndError(Reason.KEEP_ALIVE_TIMEOUT, text, "MQTT_KEEP_ALIVE_TIMEOUT")
        keep_running(asyncio.get_running_loop().create_task(self.close(end)))
