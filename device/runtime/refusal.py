"""A failed connection attempt, explained: was the server not there, not ours, or did it refuse?

AWS IoT closes the socket without a word for most refusals. awscrt's error alone cannot
tell a refusal from a server that the device must not trust, so the cheap questions are
asked again with the standard library, and only after a failure.
"""

from typing import Final

from device.provisioning.events import ConnectFailed, Event, NotLetIn
from device.runtime.endpoint import Endpoint
from device.runtime.tunnel import TunnelRefusedError, refusal_of_the_proxy, way_to

_REFUSING_CODES: Final = {0x86: "bad user name", 0x87: "not authorized", 0x8A: "banned"}
_BUSY_CODES: Final = {
    0x88: "server unavailable",
    0x89: "server busy",
    0x97: "quota exceeded",
    0x9F: "connection rate exceeded",
}
_HANG_UPS: Final = ("AWS_ERROR_MQTT_UNEXPECTED_HANGUP", "AWS_IO_SOCKET_CLOSED")
ELEMENT_FAILURES: Final = "AWS_ERROR_PKCS11"
"""How awscrt's errors about a secure element begin."""

_TLS_FAILURES: Final = ("AWS_IO_TLS_ERROR", "AWS_IO_TLS_NEGOTIATION")

_VERIFY_ADVICE: Final = {
    9: "The server's certificate is not valid yet: set the device's clock.",
    10: "The server's certificate has expired, or the device's clock is wrong.",
    18: "The server's certificate is self-signed: the endpoint or root_ca is the wrong one.",
    19: "The server's chain ends in a CA that is not in root_ca: is it the right file?",
    20: "The server's certificate is of a CA that is not in root_ca: is it the right file?",
    62: "The server's certificate is for another name: is the endpoint spelled right?",
    64: "The server's certificate is for another address: is the endpoint spelled right?",
}
"""By OpenSSL's X509_V_ERR numbers (x509_vfy.h)."""


def classify_connack(reason_code: int) -> Event:
    """Return what a CONNACK with a refusing ``reason_code`` means (MQTT 5, 3.2.2.2)."""
    label = f"CONNACK 0x{reason_code:02X}"
    if reason_code in _REFUSING_CODES:
        return NotLetIn(f"{label} {_REFUSING_CODES[reason_code]}")
    if reason_code in _BUSY_CODES:
        step = "The device backs off; spread the connects of a batch further."
        return ConnectFailed(f"{label} {_BUSY_CODES[reason_code]}", step)
    return ConnectFailed(label, "Look the reason code up in MQTT 5, section 3.2.2.2.")


def classify_failure(error_name: str, endpoint: Endpoint, root_ca_pem: bytes) -> Event:
    """Return what awscrt's ``error_name`` means, asking the network again where it is unclear."""
    by_proxy = endpoint.proxy is not None and not error_name.startswith(ELEMENT_FAILURES)
    if by_proxy and (refusal := refusal_of_the_proxy(endpoint)) is not None:
        return refusal  # a proxy that refuses may hang up before awscrt has read its answer
    if error_name.startswith(_HANG_UPS):
        return NotLetIn(f"the connection was closed without an answer: {error_name}")
    if error_name.startswith(_TLS_FAILURES):
        return _probe(error_name, endpoint, root_ca_pem)
    if error_name.startswith(ELEMENT_FAILURES):
        step = "The device opens the element anew; if that does not help, read its module's log."
        return ConnectFailed(f"the secure element failed: {error_name}", step)
    return _unreachable(error_name, endpoint)


def _unreachable(error_name: str, wanted: Endpoint) -> ConnectFailed:
    endpoint = wanted.first_hop
    if "PROXY" in error_name:
        step = "Ask whoever runs the proxy to allow CONNECT to this name and port."
        return ConnectFailed(f"the proxy {endpoint} does not open {wanted}: {error_name}", step)
    if "DNS" in error_name:
        step = "Check the spelling of the endpoint, and the name server."
        return ConnectFailed(f"the name {endpoint.host} does not resolve: {error_name}", step)
    if "CONNECTION_REFUSED" in error_name:
        step = "Is the local AWS up (localcloud up)? On AWS the ports are 8883 and 443."
        return ConnectFailed(f"nothing listens at {endpoint}: {error_name}", step)
    if "TIMEOUT" in error_name:
        step = "Is there a firewall in between? Port 443 is often open where 8883 is not."
        return ConnectFailed(f"{endpoint} does not answer: {error_name}", step)
    return ConnectFailed(f"{endpoint}: {error_name}")


def _probe(error_name: str, endpoint: Endpoint, root_ca_pem: bytes) -> Event:
    try:
        distrust = reason_for_distrust(endpoint, root_ca_pem)
    except TunnelRefusedError as error:
        return error.event
    except OSError as error:
        return ConnectFailed(f"{endpoint}: {error}")
    return distrust or NotLetIn(f"TLS was refused by the server: {error_name}")


def reason_for_distrust(endpoint: Endpoint, root_ca_pem: bytes) -> ConnectFailed | None:
    """Do the handshake without our certificate; return what is wrong with the server's.

    Raises:
        OSError: the server was not reached, or did not answer.
    """
    import ssl  # noqa: PLC0415 - 4 ms and 1 MiB, and most boots never fail

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # the default one may trust the system too
    try:
        context.load_verify_locations(cadata=root_ca_pem.decode("ascii"))
    except (ssl.SSLError, ValueError):
        return ConnectFailed("root_ca holds no CA certificate", "Correct root_ca.")
    if endpoint.alpn:
        context.set_alpn_protocols(endpoint.alpn)
    try:
        with (
            way_to(endpoint) as raw,
            context.wrap_socket(raw, server_hostname=endpoint.host),
        ):
            pass
    except ssl.SSLCertVerificationError as error:
        advice = _VERIFY_ADVICE.get(error.verify_code, "Check root_ca and the endpoint.")
        return ConnectFailed(f"{endpoint} is not trusted: {error.verify_message}", advice)
    except ssl.SSLError as error:
        if error.reason in {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"}:
            return ConnectFailed(f"{endpoint} does not speak TLS", "Check the endpoint's port.")
    return None
