"""A failed connection attempt, explained: was the server not there, not ours, or did it refuse?

AWS IoT closes the connection without a word for most refusals, and anything on the way can close
one as well. Only an answer is evidence: a refusal is a CONNACK, a TLS alert at our certificate,
or an end after TLS was complete (`device.connection.relay` tells). The rest is a fault of the
network. What awscrt cannot tell is asked again with the standard library, and only after a
failure.
"""

import socket
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from device.config.endpoint import Endpoint
from device.connection.reason_codes import Kind, Packet, Reason, reason_for
from device.connection.tunnel import PROBE_SECONDS, TunnelRefusedError, way_to
from device.errors.text import foreign
from device.provisioning.events import (
    ConnectFailed,
    ConnectionLost,
    Event,
    NotAcknowledged,
    NotLetIn,
    PublishAcknowledged,
    PublishDenied,
    Subscribed,
    SubscriptionDenied,
)

if TYPE_CHECKING:
    import ssl

_CUT: Final = (
    "This says nothing about the device's certificate. A firewall, a proxy or a captive portal on "
    "the way may cut TLS. The device tries again."
)
_PROXY: Final = "proxy, or DEVICE_PROXY"
_IS_PROXY_UP: Final = f"Check the proxy's address, and that it runs. It is set by {_PROXY}."
_IS_SERVER_UP: Final = "Start the local AWS (localcloud up). On AWS the ports are 8883 and 443."
_FIREWALL: Final = "Check for a firewall. Port 443 is often open where 8883 is not."
_NO_BROKER: Final = "Check that the endpoint is AWS IoT Core or the local AWS."

_HANG_UPS: Final = ("AWS_ERROR_MQTT_UNEXPECTED_HANGUP", "AWS_IO_SOCKET_CLOSED")
ELEMENT_FAILURES: Final = "AWS_ERROR_PKCS11"
"""How awscrt's errors about a secure element begin."""

_TLS_FAILURES: Final = ("AWS_IO_TLS_ERROR", "AWS_IO_TLS_NEGOTIATION")
_SPOKE_FIRST: Final = "AWS_ERROR_HTTP_PROTOCOL"
"""A server spoke first, as none does in TLS: awscrt takes its words for the relay's HTTP."""
_HANDSHAKE_RECORD: Final = b"\x16"  # RFC 8446, 5.1

_VERIFY_ADVICE: Final = {
    9: "The server's certificate is not valid yet: set the device's clock.",
    10: "The server's certificate has expired, or the device's clock is wrong.",
    18: "The server's certificate is self-signed: the endpoint or root_ca is the wrong one.",
    19: "The server's chain ends in a CA that is not in root_ca. Check that root_ca is the right "
    "file.",
    20: "A CA that is not in root_ca issued the server's certificate. Check that root_ca is the "
    "right file.",
    62: "The server's certificate is for another name. Check the spelling of the endpoint.",
    64: "The server's certificate is for another address. Check the endpoint.",
}
"""By OpenSSL's X509_V_ERR numbers (x509_vfy.h)."""


def classify_connack(reason_code: int | None, reason_text: str = "") -> Event:
    """Return what a CONNACK with a refusing ``reason_code`` means."""
    reason = reason_for(Packet.CONNACK, reason_code)
    detail = with_reason_text(str(reason), reason_text)
    if reason.kind is Kind.DENIED:
        return NotLetIn(detail)
    return ConnectFailed(detail, reason.next_step)


def classify_disconnect(reason_code: int | None, reason_text: str = "") -> ConnectionLost:
    """Return what a DISCONNECT of the server means."""
    reason = reason_for(Packet.DISCONNECT, reason_code)
    detail = with_reason_text(str(reason), reason_text)
    return ConnectionLost(detail, reason.next_step, reason.kind is Kind.TAKEN_OVER)


def answer_to_subscribe(
    topics: tuple[str, ...], reasons: Sequence[Reason], reason_text: str = ""
) -> Event:
    """Return what a SUBACK with ``reasons`` means for a SUBSCRIBE to ``topics``."""
    if len(reasons) != len(topics):
        detail = f"SUBACK with {len(reasons)} reason codes for {len(topics)} topics"
        return NotAcknowledged(detail, _NO_BROKER, may_succeed_later=True)
    refused = [(t, r) for t, r in zip(topics, reasons, strict=True) if r.kind is not Kind.OK]
    if not refused:
        return Subscribed()
    if all(reason.kind is Kind.DENIED for _, reason in refused):
        return SubscriptionDenied(tuple(topic for topic, _ in refused))
    topic, reason = next((t, r) for t, r in refused if r.kind is not Kind.DENIED)
    return _not_acknowledged(topic, reason, reason_text)


def answer_to_publish(topic: str, reason: Reason, reason_text: str = "") -> Event:
    """Return what a PUBACK with ``reason`` means for a PUBLISH on ``topic``."""
    if reason.kind is Kind.OK:
        return PublishAcknowledged()
    if reason.kind is Kind.DENIED:
        return PublishDenied(topic)
    return _not_acknowledged(topic, reason, reason_text)


def _not_acknowledged(topic: str, reason: Reason, reason_text: str) -> NotAcknowledged:
    detail = with_reason_text(f"{reason} on {foreign(topic)}", reason_text)
    return NotAcknowledged(detail, reason.next_step, reason.kind is not Kind.MISUSE)


def with_reason_text(detail: str, reason_text: str) -> str:
    """Return ``detail`` with what the server added in words."""
    return f"{detail}: {foreign(reason_text)}" if reason_text else detail


def classify_failure(
    error_name: str, endpoint: Endpoint, root_ca_pem: bytes, *, tls_complete: bool = False
) -> Event:
    """Return what awscrt's ``error_name`` means, asking the network again where it is unclear.

    ``tls_complete`` says whether the TLS handshake was complete before it failed.
    """
    if error_name.startswith(_HANG_UPS):
        return _closed(error_name, endpoint, tls_complete=tls_complete)
    if error_name.startswith(_TLS_FAILURES):
        return _probe(error_name, endpoint, root_ca_pem, tls_complete=tls_complete)
    if error_name.startswith(_SPOKE_FIRST):
        return _without_tls(endpoint)
    if error_name.startswith(ELEMENT_FAILURES):
        step = (
            "The device opens the element again. If that does not help, read the log of its module."
        )
        return ConnectFailed(f"the secure element failed: {error_name}", step)
    if error_name.startswith("AWS_ERROR_MQTT5_DECODE"):
        step = "Check that the endpoint and its port are those of AWS IoT Core or the local AWS."
        return ConnectFailed(f"{endpoint} does not speak MQTT 5: {error_name}", step)
    if "TIMEOUT" in error_name:
        return _unanswered(str(endpoint), error_name, _FIREWALL)
    return ConnectFailed(f"{endpoint}: {error_name}")


def unreached(error: OSError, wanted: Endpoint) -> ConnectFailed:
    """Return what it means that no connection to ``wanted`` could be opened."""
    if isinstance(error, TunnelRefusedError):
        return error.event
    hop, is_proxy = wanted.first_hop, wanted.proxy is not None
    the_hop = f"the proxy {hop}" if is_proxy else str(hop)
    match error:
        case socket.gaierror():
            step = f"Check the spelling of {_PROXY if is_proxy else 'the endpoint'}, and the name "
            step += "server."
            whose = "proxy's name" if is_proxy else "name"
            return ConnectFailed(f"the {whose} {hop.host} does not resolve: {error.strerror}", step)
        case ConnectionRefusedError():
            step = _IS_PROXY_UP if is_proxy else _IS_SERVER_UP
            return ConnectFailed(f"nothing listens at {the_hop}: connection refused", step)
        case TimeoutError():
            return _unanswered(the_hop, "timed out", _IS_PROXY_UP if is_proxy else _FIREWALL)
        case ConnectionError():
            why = f": {error.strerror}" if error.strerror else ""
            return ConnectFailed(f"{the_hop} closed before TLS was complete{why}", _CUT)
    return ConnectFailed(f"{the_hop}: {foreign(str(error))}", _IS_PROXY_UP if is_proxy else "")


def _unanswered(hop: str, how: str, step: str) -> ConnectFailed:
    return ConnectFailed(f"{hop} does not answer: {how}", step)


def _closed(error_name: str, endpoint: Endpoint, *, tls_complete: bool) -> Event:
    if tls_complete:
        return NotLetIn(f"the connection was closed without an answer: {error_name}")
    return ConnectFailed(f"{endpoint} closed before TLS was complete: {error_name}", _CUT)


def _probe(error_name: str, endpoint: Endpoint, root_ca_pem: bytes, *, tls_complete: bool) -> Event:
    """Tell a server that rejects our certificate from one with which TLS fails otherwise.

    In TLS 1.3 a server judges our certificate when the handshake is complete. In TLS 1.2 it does so
    before, so there the certificate is to blame if the handshake goes well without it.
    """
    refused = NotLetIn(f"TLS was refused by the server: {error_name}")
    try:
        found = _shake_hands(endpoint, root_ca_pem)
    except TunnelRefusedError as error:
        return error.event
    except OSError as error:
        found = ConnectFailed(f"{endpoint}: TLS failed: {error_name}; then {foreign(str(error))}")
    if isinstance(found, ConnectFailed):
        return found
    if tls_complete or found != "TLSv1.3":
        return refused
    return ConnectFailed(f"{endpoint} could not agree on TLS parameters: {error_name}")


def reason_for_distrust(endpoint: Endpoint, root_ca_pem: bytes) -> ConnectFailed | None:
    """Do the handshake without our certificate; return what is wrong with the server's.

    Raises:
        OSError: the server was not reached, or did not answer.
    """
    found = _shake_hands(endpoint, root_ca_pem)
    return found if isinstance(found, ConnectFailed) else None


def _shake_hands(endpoint: Endpoint, root_ca_pem: bytes) -> ConnectFailed | str:
    """Return what is wrong with the server, or the version of TLS that it speaks."""
    import ssl  # noqa: PLC0415 - 4 ms and 1 MiB, and most boots never fail

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # the default one may trust the system too
    try:
        context.load_verify_locations(cadata=root_ca_pem.decode("ascii"))
    except (ssl.SSLError, ValueError):
        return ConnectFailed("root_ca holds no CA certificate", "Correct root_ca.")
    if endpoint.alpn:
        context.set_alpn_protocols(endpoint.alpn)
    try:
        with way_to(endpoint) as raw:
            return _handshake(raw, context, endpoint)
    except ssl.SSLError as error:
        return _distrusted(error, endpoint)


def _handshake(raw: socket.socket, context: "ssl.SSLContext", endpoint: Endpoint) -> str:
    """Return the version of TLS that was agreed on.

    Raises:
        SSLError: the server is not the one we want, or does not speak TLS with us.
        OSError: the connection ended.
    """
    import ssl  # noqa: PLC0415

    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=endpoint.host)
    first, until = b"", time.monotonic() + PROBE_SECONDS
    while True:
        try:
            tls.do_handshake()
            raw.sendall(outgoing.read())
            return tls.version() or ""
        except ssl.SSLWantReadError:
            raw.sendall(outgoing.read())
        except ssl.SSLCertVerificationError:
            raise
        except ssl.SSLError as error:
            if first == _HANDSHAKE_RECORD and "ALERT" in (error.reason or ""):
                return "TLSv1.2"  # it showed its certificate, and wants one of us
            raise
        raw.settimeout(max(0.001, until - time.monotonic()))
        data = raw.recv(65_536)
        if not data:
            raise ConnectionResetError("closed before TLS was complete")
        first = first or data[:1]
        incoming.write(data)


def _without_tls(endpoint: Endpoint) -> ConnectFailed:
    return ConnectFailed(f"{endpoint} does not speak TLS", "Check the endpoint's port.")


def _distrusted(error: "ssl.SSLError", endpoint: Endpoint) -> ConnectFailed:
    import ssl  # noqa: PLC0415

    if isinstance(error, ssl.SSLCertVerificationError):
        advice = _VERIFY_ADVICE.get(error.verify_code, "Check root_ca and the endpoint.")
        return ConnectFailed(f"{endpoint} is not trusted: {error.verify_message}", advice)
    if error.reason in {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"}:
        return _without_tls(endpoint)
    return ConnectFailed(
        f"{endpoint} could not agree on TLS parameters: {foreign(error.reason or '')}"
    )
