"""The connection to AWS IoT Core: MQTT 5 over mutual TLS, through awscrt.

The only module that imports awscrt: its objects print private keys, so nothing of theirs
leaves it. awscrt's own reconnecting is switched off (a client is stopped at its
first failure), because full jitter from zero would send two CONNECTs within a second, and
because only the method in use knows whether a refusal is expected.

Callbacks run on awscrt's thread; they put an event into the inbox and do nothing else. The bytes
pass a `Relay`, which tells whether TLS was complete and ends a connection on which a packet is
larger than CONNECT announced: awscrt does neither.

Replies are subscribed at QoS 0: a PUBACK of ours followed by our next request would be two
small packets in a row, which Nagle's algorithm and the delayed ACK hold back for 40 ms.
A message at QoS 1 is acknowledged when the next event is asked for: then its reader is done with
it, so a power cut before that brings it again.
awscrt's flow control (100 publishes/s) stays off: it starts each connection with no allowance
and so holds the first packets back for 7 ms each; this device never sends that many.
"""

import logging
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from awscrt import http, io, mqtt5
from awscrt.exceptions import AwsCrtError

from device.config.endpoint import Endpoint
from device.config.settings import Connection
from device.connection.connect_failure import (
    ELEMENT_FAILURES,
    answer_to_publish,
    answer_to_subscribe,
    classify_connack,
    classify_disconnect,
    classify_failure,
    reason_for_distrust,
    unreached,
)
from device.connection.inbox import Inbox
from device.connection.reason_codes import Packet, reason_for
from device.connection.relay import LARGEST_PACKET, Relay
from device.connection.session import StopRequested
from device.connection.tunnel import way_to
from device.errors import ExitCode
from device.errors.element import ElementError
from device.errors.provisioning import CREDENTIAL_UNUSABLE
from device.errors.text import foreign
from device.provisioning import actions as act
from device.provisioning import events as ev
from device.storage.keys import MemoryIdentity, TlsIdentity

if TYPE_CHECKING:
    from device.connection.pump import Pump

_log = logging.getLogger(__name__)

_STOP_SECONDS: Final = 2.0
_GOODBYE_SECONDS: Final = 0.5
"""How long DISCONNECT may take to go out."""
_SUSPICIOUS_SECONDS: Final = 2.0
"""After so long without CONNACK the server may be one that TLS does not trust: s2n, inside
awscrt, reports that only after 10 to 30 s, to blind those who measure its time. A server that has
not answered at all is slow, and a second connection from every device would make it slower."""
_MOST_CONTEXTS: Final = 8
_RECEIVE_MAXIMUM: Final = 16
"""Messages at QoS 1 that the server may send before we acknowledged any."""


_TLS_12_AND_13: Final = io.TlsCipherPref.TLSv1_2_2025_07
"""awscrt's default also offers TLS 1.0 and 1.1, and suites that AWS IoT Core does not have."""
_OVERSIZED: Final = (
    f"the server sent a packet of more than {LARGEST_PACKET // 1024} KiB, which is too large: the "
    "device ended the connection"
)
_OVERSIZED_ADVICE: Final = (
    "AWS IoT Core sends at most 128 KiB: check that the endpoint is AWS IoT Core or the local AWS."
)


class _Distrusted(ev.Event, frozen=True):
    """The server is not the one we want; awscrt will only say so later."""

    failure: ev.ConnectFailed


class _Held(ev.MessageReceived, frozen=True):
    """A message at QoS 1, and what awscrt wants to see when it is to be acknowledged."""

    handle: Any


class Network:
    """An event loop with its thread, and what dials in it; a program of many devices shares one."""

    def __init__(self, pump: "Pump | None" = None) -> None:
        """Start the thread; it ends when nobody needs this object any more.

        ``pump`` passes on the bytes of all connections.
        """
        self.pump: Final = pump
        self._contexts: Final[OrderedDict[bytes, io.ClientTlsContext]] = OrderedDict()
        self._lock: Final = threading.Lock()
        loop = io.EventLoopGroup(1)
        self.released: Final = loop.shutdown_event
        self.bootstrap: Final = io.ClientBootstrap(loop, io.DefaultHostResolver(loop))

    def context(
        self, credential: bytes, make: Callable[[], io.ClientTlsContext]
    ) -> io.ClientTlsContext:
        """Return the context made for ``credential`` before, or make it; the latest few are kept.

        A batch shares its claim, and a context takes more processor time than all of our own code.
        """
        import hashlib  # noqa: PLC0415 - loads OpenSSL, which a device alone in its process spares

        name = hashlib.sha256(credential).digest()
        with self._lock:
            if name in self._contexts:
                self._contexts.move_to_end(name)
                return self._contexts[name]
        made = make()
        with self._lock:
            self._contexts[name] = made
            while len(self._contexts) > _MOST_CONTEXTS:
                self._contexts.popitem(last=False)
        return made


class AwscrtSession:
    """A `Session` on a real network."""

    def __init__(
        self,
        endpoint: Endpoint,
        root_ca_pem: bytes,
        tls_identity: Callable[[ev.Credential], TlsIdentity],
        options: Connection,
        *,
        network: Network | None = None,
    ) -> None:
        """Connect to ``endpoint`` when told to, trusting the CAs in ``root_ca_pem`` only.

        ``network`` is shared with other sessions; without one each connection has its own.
        """
        self._network: Final = network
        self._endpoint: Final = endpoint
        self._root_ca_pem = root_ca_pem
        self._tls_identity: Final = tls_identity
        self._options: Final = options
        self._inbox: Final = Inbox()
        self._connection = 0
        self._client: mqtt5.Client | None = None
        self._relay: Relay | None = None
        self._unacknowledged: mqtt5.PublishAcknowledgementControlHandle | None = None
        self._stopped = self._released = threading.Event()
        self._is_connecting = False

    def perform(self, action: act.Action) -> None:
        """Begin ``action``; the outcome comes as an event."""
        match action:
            case act.Connect():
                self._connect(action)
            case act.Subscribe(topics, qos):
                self._subscribe(topics, mqtt5.QoS(qos))
            case act.Request(topic, payload):
                self._publish(topic, payload, None)
            case act.Publish(topic, payload, ticket):
                self._publish(topic, payload, ticket)
            case act.Disconnect():
                self._hang_up(_STOP_SECONDS)
                self._put(ev.Disconnected())
            case _:
                raise TypeError(f"a session cannot perform {type(action).__name__}")

    def next_event(self, timeout: float | None) -> ev.Event | None:
        """Return the next event of the open connection, or None after ``timeout`` seconds."""
        while self._is_connecting and (timeout is None or timeout > _SUSPICIOUS_SECONDS):
            event = self._next_event(_SUSPICIOUS_SECONDS)
            if event is not None:
                return event
            if self._relay is not None and self._relay.is_judging:
                self._look_at_the_server()
            timeout = None if timeout is None else timeout - _SUSPICIOUS_SECONDS
        return self._next_event(timeout)

    def post(self, event: ev.Event) -> None:
        """Have `next_event` return ``event``, whatever becomes of the connection; thread-safe."""
        self._inbox.post(event)

    def _next_event(self, timeout: float | None) -> ev.Event | None:
        self._acknowledge()
        event = self._inbox.get(self._connection, timeout)
        if isinstance(event, _Held):
            self._unacknowledged = event.handle
            return ev.MessageReceived(event.topic, event.payload)
        if isinstance(event, _Distrusted):
            self._end(patience=0.0)  # it never was a session, and s2n keeps it for long
            return event.failure
        if event is not None and not isinstance(event, StopRequested):
            self._is_connecting = False
        return event

    def _look_at_the_server(self) -> None:
        """Ask in another thread, because it may take long and this one must hear a stop."""
        self._is_connecting = False

        def look(connection: int) -> None:
            with suppress(OSError):  # then awscrt will say so, in its own time
                distrust = reason_for_distrust(self._endpoint, self._root_ca_pem)
                if distrust is not None:
                    self._inbox.put(connection, _Distrusted(distrust))

        threading.Thread(target=look, args=(self._connection,), daemon=True).start()

    def close(self) -> None:
        """Close the connection, if there is one, and drop what it still had to say."""
        self._end(_STOP_SECONDS)

    def lose_network(self) -> None:
        """Cut the connection somewhere on its way; the device finds out. Thread-safe."""
        if (relay := self._relay) is not None:
            relay.lose_network()

    def cut(self) -> None:
        """Drop the connection without a word, as a power cut does."""
        if self._relay is not None:
            self._relay.close()
        self._end(_STOP_SECONDS)

    def _end(self, patience: float) -> None:
        self._is_connecting = False
        self._acknowledge()
        self._hang_up(patience)
        self._connection += 1

    def trust(self, root_ca_pem: bytes) -> None:
        """Trust the CAs in ``root_ca_pem`` only, from the next connection on."""
        self._root_ca_pem = root_ca_pem

    def request_stop(self) -> None:
        """Make `next_event` return `StopRequested`; safe in a signal handler."""
        self._inbox.request_stop()

    def _acknowledge(self) -> None:
        """Send the PUBACK of the message that was read last."""
        handle, self._unacknowledged = self._unacknowledged, None
        if handle is not None and self._client is not None:
            self._client.invoke_publish_acknowledgement(handle)

    def _connect(self, order: act.Connect) -> None:
        self.close()
        connection = self._connection
        try:
            context = self._tls_context(self._tls_identity(order.credential))
        except ElementError as error:
            if error.exit_code is not ExitCode.TRY_LATER:
                raise
            self._inbox.put(connection, ev.ConnectFailed(str(error), error.next_step))
            return
        except RuntimeError as error:  # what awscrt raises when it can make no TLS context
            name = str(error).partition("(")[2].partition(")")[0]
            if not name.startswith(ELEMENT_FAILURES):
                raise CREDENTIAL_UNUSABLE.error(
                    foreign(str(error)), credential=order.credential
                ) from None
            self._inbox.put(connection, classify_failure(name, self._endpoint, b""))
            return
        _log.debug("CONNECT as %s with the %s", order.client_id, order.credential)
        pump = self._network.pump if self._network else None
        self._relay = Relay(partial(way_to, self._endpoint, self._options.connect_timeout), pump)
        self._relay.start()
        self._client = self._new_client(order, connection, context, self._relay)
        self._client.start()
        self._is_connecting = True

    def _new_client(
        self, order: act.Connect, connection: int, context: io.ClientTlsContext, relay: Relay
    ) -> mqtt5.Client:
        network = self._network or Network()
        explain = partial(self._explain, connection, relay)
        told = _Callbacks(self._inbox, connection, order.credential, relay, explain)
        self._released, self._stopped = network.released, told.stopped
        client = mqtt5.Client(self._client_options(order, context, relay, network, told))
        told.client = weakref.ref(client)
        return client

    def _client_options(
        self, order: act.Connect, context: io.ClientTlsContext, relay: Relay,
        network: Network, told: "_Callbacks",
    ) -> mqtt5.ClientOptions:  # fmt: skip
        behaviour, expiry = _session_for(order.credential, self._options.session_expiry)
        return mqtt5.ClientOptions(
            host_name=self._endpoint.host,
            port=self._endpoint.port,
            bootstrap=network.bootstrap,
            tls_ctx=context,
            http_proxy_options=_by_way_of(relay),
            connect_options=mqtt5.ConnectPacket(
                client_id=order.client_id,
                keep_alive_interval_sec=self._options.keep_alive,
                session_expiry_interval_sec=expiry,
                receive_maximum=_RECEIVE_MAXIMUM,
                maximum_packet_size=LARGEST_PACKET,
            ),
            session_behavior=behaviour,
            connack_timeout_ms=int(self._options.connect_timeout * 1000),
            disable_metrics=True,
            on_publish_callback_fn=told.received,
            on_lifecycle_event_connection_success_fn=told.connected,
            on_lifecycle_event_connection_failure_fn=told.failed,
            on_lifecycle_event_disconnection_fn=told.lost,
            on_lifecycle_event_stopped_fn=told.ended,
        )

    def _explain(self, connection: int, relay: Relay, error_name: str) -> None:
        """Report why there is no connection; on a thread, as it may ask the network again."""

        def explain() -> None:
            self._inbox.put(connection, self._failure(error_name, relay))

        threading.Thread(target=explain, daemon=True).start()

    def _failure(self, error_name: str, relay: Relay) -> ev.Event:
        if relay.failure is not None:
            return unreached(relay.failure, self._endpoint)
        if relay.is_oversized:
            return ev.ConnectFailed(_OVERSIZED, _OVERSIZED_ADVICE)
        return classify_failure(
            error_name, self._endpoint, self._root_ca_pem, tls_complete=relay.tls_complete
        )

    def _tls_context(self, identity: TlsIdentity) -> io.ClientTlsContext:
        make = partial(self._new_tls_context, identity)
        if self._network is None or not isinstance(identity, MemoryIdentity):
            return make()
        parts = (identity.certificate_pem, identity.private_key_pem, self._root_ca_pem)
        alpn = ",".join(self._endpoint.alpn).encode()
        return self._network.context(b"\0".join((*parts, alpn)), make)

    def _new_tls_context(self, identity: TlsIdentity) -> io.ClientTlsContext:
        options = _mutual_tls(identity)
        options.override_default_trust_store(self._root_ca_pem)
        options.alpn_list = self._endpoint.alpn
        return io.ClientTlsContext(options)

    def _hang_up(self, patience: float) -> None:
        """Send DISCONNECT and wait until nothing is left: no socket, no session of an element.

        So no two sessions overlap, and at the end of the process no thread is still at work in
        an element's library while that is being unloaded.
        """
        if self._client is None:
            return
        self._client.stop(mqtt5.DisconnectPacket())
        has_said_it = self._stopped.wait(min(patience, _GOODBYE_SECONDS))
        was_met = self._relay is None or self._relay.was_met
        if self._relay is not None:  # in a flood awscrt comes to nothing else
            self._relay.close(_GOODBYE_SECONDS if has_said_it else 0.0)
            if not was_met:  # stopped so early, awscrt may never say that it stopped
                patience = 0.0
            self._relay = None
        has_stopped = self._stopped.wait(patience)
        if was_met:
            keep_until_stopped(self._client, self._stopped)
        self._client = None
        if dropped := self._inbox.take_dropped():
            _log.warning("dropped %d messages: they came faster than the device read them", dropped)
        is_shared = self._network is not None
        if not (has_stopped and (is_shared or self._released.wait(patience))):
            _log.info("the connection did not close within %s s", patience)

    def _subscribe(self, topics: tuple[str, ...], quality: mqtt5.QoS) -> None:
        filters = [mqtt5.Subscription(topic_filter=topic, qos=quality) for topic in topics]
        connection, relay = self._connection, self._relay

        def acknowledged(future: "Future[mqtt5.SubackPacket]") -> None:
            if (error := future.exception()) is not None:
                _log.debug("SUBSCRIBE ended with %s", _name_of(error))
                return
            if relay is not None:
                relay.packet_read()
            packet = future.result()
            reasons = [reason_for(Packet.SUBACK, _code(code)) for code in packet.reason_codes]
            event = answer_to_subscribe(topics, reasons, packet.reason_string or "")
            self._inbox.put(connection, event)

        packet = mqtt5.SubscribePacket(subscriptions=filters)
        self._open_client().subscribe(packet).add_done_callback(acknowledged)

    def _publish(self, topic: str, payload: bytes, ticket: int | None) -> None:
        """Publish; report the acknowledgement under ``ticket``, or without one only a denial."""
        connection, relay = self._connection, self._relay

        def acknowledged(future: "Future[mqtt5.PublishCompletionData]") -> None:
            if (error := future.exception()) is not None:
                _log.debug("PUBLISH on %s ended with %s", topic, _name_of(error))
                return
            if relay is not None:
                relay.packet_read()
            packet = future.result().puback
            reason = reason_for(Packet.PUBACK, _code(packet.reason_code))
            event = answer_to_publish(topic, reason, packet.reason_string or "")
            if not isinstance(event, ev.PublishAcknowledged):
                self._inbox.put(connection, event)
            elif ticket is not None:
                self._inbox.put(connection, ev.PublishAcknowledged(ticket))

        packet = mqtt5.PublishPacket(topic=topic, payload=payload, qos=mqtt5.QoS.AT_LEAST_ONCE)
        self._open_client().publish(packet).add_done_callback(acknowledged)

    def _open_client(self) -> mqtt5.Client:
        if self._client is None:
            raise RuntimeError("nothing was connected")
        return self._client

    def _put(self, event: ev.Event) -> None:
        self._connection += 1
        self._inbox.put(self._connection, event)


_NOT_STOPPED: Final[dict[object, threading.Event]] = {}


class _Callbacks:
    """What awscrt's thread tells of one connection, on its way to the inbox.

    awscrt keeps the callbacks, so they know the client by a weak reference; else it would leak.
    """

    client: "weakref.ref[mqtt5.Client] | None" = None

    def __init__(
        self, inbox: Inbox, connection: int, credential: ev.Credential, relay: Relay,
        explain: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._put: Final = partial(inbox.put, connection)
        self._put_message: Final = partial(inbox.put_message, connection)
        self._credential: Final = credential
        self._relay: Final = relay
        self._explain: Final = explain
        self.stopped: Final = threading.Event()

    def connected(self, data: mqtt5.LifecycleConnectSuccessData) -> None:
        self._relay.packet_read()
        packet = data.connack_packet
        if packet.reason_code is mqtt5.ConnectReasonCode.SUCCESS:
            kept = bool(packet.session_present)
            self._put(ev.Connected(self._credential, session_present=kept))
        else:  # awscrt takes any code below 0x80 for a yes; MQTT knows one
            self._stop()
            self._put(classify_connack(None))

    def failed(self, data: mqtt5.LifecycleConnectFailureData) -> None:
        self._stop()
        packet = data.connack_packet
        if packet is None:
            self._explain(_name_of(data.exception))
        else:
            self._put(classify_connack(_code(packet.reason_code), packet.reason_string or ""))

    def lost(self, data: mqtt5.LifecycleDisconnectData) -> None:
        self._stop()
        self._put(_loss(data, self._relay))

    def received(self, data: mqtt5.PublishReceivedData) -> None:
        self._relay.packet_read(len(data.publish_packet.payload or b""))
        if not self._relay.is_oversized:
            self._put_message(_message(data))

    def ended(self, _: mqtt5.LifecycleStoppedData) -> None:
        self.stopped.set()

    def _stop(self) -> None:
        if self.client is not None and (client := self.client()) is not None:
            client.stop()


def keep_until_stopped(client: object, stopped: threading.Event) -> None:
    """Hold ``client`` until ``stopped`` is set, and let go of those that have stopped meanwhile.

    awscrt 0.36 reads the freed client if a message at QoS 1 comes after nobody holds it: the whole
    process ends with a segmentation fault. On a busy machine a client may take long to stop.
    """
    _NOT_STOPPED[client] = stopped
    for each, has_stopped in list(_NOT_STOPPED.items()):
        if has_stopped.is_set():
            _NOT_STOPPED.pop(each, None)


def _message(data: mqtt5.PublishReceivedData) -> ev.MessageReceived:
    """Return what came; what came at QoS 1 is not acknowledged by awscrt from here on."""
    packet, acquire = data.publish_packet, data.acquire_publish_acknowledgement_control
    payload = bytes(packet.payload or b"")
    if acquire is None:
        return ev.MessageReceived(packet.topic, payload)
    return _Held(packet.topic, payload, acquire())


def _session_for(
    credential: ev.Credential, expiry: int
) -> tuple[mqtt5.ClientSessionBehaviorType, int | None]:
    """Return how a session begins, and for how many seconds the server keeps it afterwards."""
    if credential in {ev.Credential.CLAIM, ev.Credential.TRIAL} or not expiry:
        return mqtt5.ClientSessionBehaviorType.CLEAN, None
    if credential is ev.Credential.DEVICE:
        return mqtt5.ClientSessionBehaviorType.REJOIN_ALWAYS, expiry
    return mqtt5.ClientSessionBehaviorType.CLEAN, expiry


def _mutual_tls(identity: TlsIdentity) -> io.TlsContextOptions:
    if isinstance(identity, MemoryIdentity):
        options = io.TlsContextOptions.create_client_with_mtls(
            identity.certificate_pem, identity.private_key_pem
        )
        options.cipher_pref = _TLS_12_AND_13
        return options
    options = io.TlsContextOptions.create_client_with_mtls_pkcs11(
        pkcs11_lib=_pkcs11_library(identity.module_path),
        user_pin=identity.pin,
        slot_id=identity.slot_id,
        private_key_label=identity.key_label,
        cert_file_contents=identity.certificate_pem,
    )
    if identity.tls13:  # awscrt leaves 1.3 out when a key handler signs; this policy has it
        options.cipher_pref = _TLS_12_AND_13
    return options


def _by_way_of(relay: Relay) -> http.HttpProxyOptions:
    return http.HttpProxyOptions(
        "127.0.0.1",
        relay.port,
        connection_type=http.HttpProxyConnectionType.Tunneling,
        auth_type=http.HttpProxyAuthenticationType.Basic,
        auth_username="firstboot",
        auth_password=relay.password,
    )


def _loss(data: mqtt5.LifecycleDisconnectData, relay: Relay) -> ev.ConnectionLost:
    if relay.is_oversized:
        return ev.ConnectionLost(_OVERSIZED, _OVERSIZED_ADVICE)
    packet = data.disconnect_packet
    if packet is None:
        return ev.ConnectionLost(_name_of(data.exception))
    return classify_disconnect(_code(packet.reason_code), packet.reason_string or "")


def _code(reason: int | None) -> int | None:
    """Return the number; awscrt says None for a reason code that MQTT does not define."""
    return None if reason is None else int(reason)


@cache
def _pkcs11_library(path: Path) -> io.Pkcs11Lib:
    """Return awscrt's handle, one a library and process; it never finalises the library."""
    return io.Pkcs11Lib(file=str(path))


def _name_of(error: BaseException | None) -> str:
    if isinstance(error, AwsCrtError):
        return f"{error.name} ({error.code})"
    return type(error).__name__
