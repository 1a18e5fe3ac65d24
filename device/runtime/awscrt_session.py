"""The connection to AWS IoT Core: MQTT 5 over mutual TLS, through awscrt.

The only module that imports awscrt: its objects print private keys, so nothing of theirs
leaves it. awscrt's own reconnecting is switched off (a client is stopped at its
first failure), because full jitter from zero would send two CONNECTs within a second, and
because only the method in use knows whether a refusal is expected.

Callbacks run on awscrt's thread; they put an event on a queue and do nothing else.
Replies are subscribed at QoS 0: a PUBACK of ours followed by our next request would be two
small packets in a row, which Nagle's algorithm and the delayed ACK hold back for 40 ms.
awscrt's flow control (100 publishes/s) stays off: it starts each connection with no allowance
and so holds the first packets back for 7 ms each; this device never sends that many.
"""

import logging
import math
import queue
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from awscrt import io, mqtt5
from awscrt.exceptions import AwsCrtError

from device.errors import ExitCode
from device.errors.element import ElementError
from device.errors.provisioning import CredentialUnusableError
from device.provisioning import actions as act
from device.provisioning import events as ev
from device.runtime.endpoint import Endpoint
from device.runtime.refusal import (
    ELEMENT_FAILURES,
    classify_connack,
    classify_failure,
    reason_for_distrust,
)
from device.runtime.session import StopRequested
from device.settings import Connection
from device.storage.keys import MemoryIdentity, TlsIdentity

if TYPE_CHECKING:
    from awscrt import http

_log = logging.getLogger(__name__)

_STOP_SECONDS: Final = 2.0
_SUSPICIOUS_SECONDS: Final = 2.0
"""After so long without CONNACK the server may be one that TLS does not trust: s2n, inside
awscrt, reports that only after 10 to 30 s, to blind those who measure its time."""
_DEAF_SECONDS: Final = 1.0
"""No wait is longer: a signal that comes in the instant before one begins, or in another thread,
is only heard when it ends, since Python runs signal handlers between two bytecodes."""
_GRANTED: Final = 0x80  # MQTT 5, 3.9.3: SUBACK and PUBACK reason codes from here on are refusals


class _ConnectRefused(ev.Event, frozen=True):
    """Raw news of a failed attempt; it is explained on the driver's thread."""

    error_name: str
    reason_code: int | None


class AwscrtSession:
    """A `Session` on a real network."""

    def __init__(
        self,
        endpoint: Endpoint,
        root_ca_pem: bytes,
        tls_identity: Callable[[ev.Credential], TlsIdentity],
        options: Connection,
    ) -> None:
        """Connect to ``endpoint`` when told to, trusting the CAs in ``root_ca_pem`` only."""
        self._endpoint: Final = endpoint
        self._root_ca_pem: Final = root_ca_pem
        self._tls_identity: Final = tls_identity
        self._options: Final = options
        self._events: Final[queue.SimpleQueue[tuple[int, ev.Event]]] = queue.SimpleQueue()
        self._connection = 0
        self._client: mqtt5.Client | None = None
        self._stopped = self._released = threading.Event()
        self._is_connecting = False

    def perform(self, action: act.Action) -> None:
        """Begin ``action``; the outcome comes as an event."""
        match action:
            case act.Connect():
                self._connect(action)
            case act.Subscribe(topics):
                self._subscribe(topics)
            case act.Request(topic, payload):
                self._publish(topic, payload, report=False)
            case act.Publish(topic, payload):
                self._publish(topic, payload, report=True)
            case act.Disconnect():
                self._hang_up(_STOP_SECONDS)
                self._put(ev.Disconnected())
            case _:
                raise TypeError(f"a session cannot perform {type(action).__name__}")

    def next_event(self, timeout: float | None) -> ev.Event | None:
        """Return the next event of the open connection, or None after ``timeout`` seconds."""
        if self._is_connecting and (timeout is None or timeout > _SUSPICIOUS_SECONDS):
            event = self._next_event(_SUSPICIOUS_SECONDS) or self._look_at_the_server()
            if event is not None:
                return event
        return self._next_event(timeout)

    def _look_at_the_server(self) -> ev.Event | None:
        self._is_connecting = False
        with suppress(OSError):  # then awscrt will say so, in its own time
            distrust = reason_for_distrust(self._endpoint, self._root_ca_pem)
            if distrust is not None:
                self._end(patience=0.0)  # it never was a session, and s2n keeps it for long
                return distrust
        return None

    def _next_event(self, timeout: float | None) -> ev.Event | None:
        until = math.inf if timeout is None else time.monotonic() + timeout
        while True:
            left = max(0.0, until - time.monotonic())
            try:
                connection, event = self._events.get(timeout=min(left, _DEAF_SECONDS))
            except queue.Empty:
                if left <= _DEAF_SECONDS:
                    return None
                continue
            if isinstance(event, StopRequested):
                return event
            if connection != self._connection:
                continue
            self._is_connecting = False
            if isinstance(event, _ConnectRefused):
                return self._explained(event)
            return event

    def close(self) -> None:
        """Close the connection, if there is one, and drop what it still had to say."""
        self._end(_STOP_SECONDS)

    def _end(self, patience: float) -> None:
        self._is_connecting = False
        self._hang_up(patience)
        self._connection += 1

    def request_stop(self) -> None:
        """Make `next_event` return `StopRequested`; safe in a signal handler."""
        self._events.put((0, StopRequested()))

    def _connect(self, order: act.Connect) -> None:
        self.close()
        connection = self._connection
        try:
            context = self._tls_context(self._tls_identity(order.credential))
        except ElementError as error:
            if error.exit_code is not ExitCode.TRY_LATER:
                raise
            self._events.put((connection, ev.ConnectFailed(str(error), error.next_step)))
            return
        except RuntimeError as error:  # what awscrt raises when it can make no TLS context
            name = str(error).partition("(")[2].partition(")")[0]
            if not name.startswith(ELEMENT_FAILURES):
                raise CredentialUnusableError(order.credential, str(error)) from None
            self._events.put((connection, _ConnectRefused(name, None)))
            return
        loop = io.EventLoopGroup(1)
        self._released, self._stopped = loop.shutdown_event, threading.Event()
        stopped = self._stopped

        def connected(_: mqtt5.LifecycleConnectSuccessData) -> None:
            self._events.put((connection, ev.Connected(order.credential)))

        def stop() -> None:  # awscrt keeps the callbacks, so one that kept the client would leak
            if (client := this_client()) is not None:
                client.stop()

        def failed(data: mqtt5.LifecycleConnectFailureData) -> None:
            stop()
            packet = data.connack_packet
            reason = None if packet is None else int(packet.reason_code)
            self._events.put((connection, _ConnectRefused(_name_of(data.exception), reason)))

        def lost(data: mqtt5.LifecycleDisconnectData) -> None:
            stop()
            packet = data.disconnect_packet
            detail = _name_of(data.exception) if packet is None else packet.reason_code.name
            self._events.put((connection, ev.ConnectionLost(detail)))

        def received(data: mqtt5.PublishReceivedData) -> None:
            packet = data.publish_packet
            event = ev.MessageReceived(packet.topic, bytes(packet.payload or b""))
            self._events.put((connection, event))

        client = mqtt5.Client(
            mqtt5.ClientOptions(
                host_name=self._endpoint.host,
                port=self._endpoint.port,
                bootstrap=io.ClientBootstrap(loop, io.DefaultHostResolver(loop)),
                tls_ctx=context,
                http_proxy_options=_proxy_options(self._endpoint.proxy),
                connect_options=mqtt5.ConnectPacket(
                    client_id=order.client_id, keep_alive_interval_sec=self._options.keep_alive
                ),
                session_behavior=mqtt5.ClientSessionBehaviorType.CLEAN,
                connack_timeout_ms=int(self._options.connect_timeout * 1000),
                disable_metrics=True,
                on_publish_callback_fn=received,
                on_lifecycle_event_connection_success_fn=connected,
                on_lifecycle_event_connection_failure_fn=failed,
                on_lifecycle_event_disconnection_fn=lost,
                on_lifecycle_event_stopped_fn=lambda _: stopped.set(),
            )
        )
        this_client = weakref.ref(client)
        self._client = client
        _log.debug("CONNECT as %s with the %s", order.client_id, order.credential)
        client.start()
        self._is_connecting = True

    def _tls_context(self, identity: TlsIdentity) -> io.ClientTlsContext:
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
        has_stopped = self._stopped.wait(patience)
        self._client = None
        if not (has_stopped and self._released.wait(patience)):
            _log.info("the connection did not close within %s s", patience)

    def _subscribe(self, topics: tuple[str, ...]) -> None:
        quality = mqtt5.QoS.AT_MOST_ONCE
        filters = [mqtt5.Subscription(topic_filter=topic, qos=quality) for topic in topics]
        connection = self._connection

        def acknowledged(future: "Future[mqtt5.SubackPacket]") -> None:
            if (error := future.exception()) is not None:
                _log.debug("SUBSCRIBE ended with %s", _name_of(error))
                return
            codes = future.result().reason_codes
            denied = tuple(
                topic for topic, code in zip(topics, codes, strict=True) if code >= _GRANTED
            )
            event = ev.SubscriptionDenied(denied) if denied else ev.Subscribed()
            self._events.put((connection, event))

        packet = mqtt5.SubscribePacket(subscriptions=filters)
        self._open_client().subscribe(packet).add_done_callback(acknowledged)

    def _publish(self, topic: str, payload: bytes, *, report: bool) -> None:
        connection = self._connection

        def acknowledged(future: "Future[mqtt5.PublishCompletionData]") -> None:
            if (error := future.exception()) is not None:
                _log.debug("PUBLISH on %s ended with %s", topic, _name_of(error))
                return
            if future.result().puback.reason_code >= _GRANTED:
                self._events.put((connection, ev.PublishDenied(topic)))
            elif report:
                self._events.put((connection, ev.PublishAcknowledged()))

        packet = mqtt5.PublishPacket(topic=topic, payload=payload, qos=mqtt5.QoS.AT_LEAST_ONCE)
        self._open_client().publish(packet).add_done_callback(acknowledged)

    def _open_client(self) -> mqtt5.Client:
        if self._client is None:
            raise RuntimeError("nothing was connected")
        return self._client

    def _put(self, event: ev.Event) -> None:
        self._connection += 1
        self._events.put((self._connection, event))

    def _explained(self, refused: _ConnectRefused) -> ev.Event:
        if refused.reason_code is not None:
            return classify_connack(refused.reason_code)
        return classify_failure(refused.error_name, self._endpoint, self._root_ca_pem)


def _mutual_tls(identity: TlsIdentity) -> io.TlsContextOptions:
    if isinstance(identity, MemoryIdentity):
        return io.TlsContextOptions.create_client_with_mtls(
            identity.certificate_pem, identity.private_key_pem
        )
    options = io.TlsContextOptions.create_client_with_mtls_pkcs11(
        pkcs11_lib=_pkcs11_library(identity.module_path),
        user_pin=identity.pin,
        slot_id=identity.slot_id,
        private_key_label=identity.key_label,
        cert_file_contents=identity.certificate_pem,
    )
    if identity.tls13:  # awscrt leaves 1.3 out when a key handler signs; this policy has it
        options.cipher_pref = io.TlsCipherPref.TLSv1_2_2025_07
    return options


def _proxy_options(proxy: Endpoint | None) -> "http.HttpProxyOptions | None":
    if proxy is None:
        return None
    from awscrt import http  # noqa: PLC0415 - most devices have no proxy

    options = http.HttpProxyOptions(proxy.host, proxy.port)
    options.connection_type = http.HttpProxyConnectionType.Tunneling
    if proxy.login is not None:
        options.auth_type = http.HttpProxyAuthenticationType.Basic
        options.auth_username, options.auth_password = proxy.login.user, proxy.login.password
    return options


@cache
def _pkcs11_library(path: Path) -> io.Pkcs11Lib:
    """Return awscrt's handle, one a library and process; it never finalises the library."""
    return io.Pkcs11Lib(file=str(path))


def _name_of(error: BaseException | None) -> str:
    if isinstance(error, AwsCrtError):
        return f"{error.name} ({error.code})"
    return type(error).__name__
