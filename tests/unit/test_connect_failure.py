"""Is a failed connection explained by what is really wrong at the other end?"""

import socket
import ssl
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
import trustme

from device.config.endpoint import Endpoint
from device.connection.connect_failure import classify_failure, reason_for_distrust, unreached
from device.connection.tunnel import TunnelRefusedError, way_to
from device.provisioning.events import ConnectFailed, Event, NotLetIn
from tests.support.scripted_server import OPENED, Peer, ScriptedServer, proxy_to, say_nothing, tls

TLS_FAILURE: Final = "AWS_IO_TLS_ERROR_NEGOTIATION_FAILURE (1029)"
SERVER_CA: Final = trustme.CA()
OTHER_CA: Final = trustme.CA()
TRUSTED: Final = SERVER_CA.cert_pem.bytes()
NOW: Final = datetime.now(UTC)


HANG_UPS: Final = ("AWS_ERROR_MQTT_UNEXPECTED_HANGUP (5134)", "AWS_IO_SOCKET_CLOSED (1051)")


@pytest.mark.parametrize("name", HANG_UPS)
def test_a_hang_up_after_tls_was_complete_is_a_refusal(name: str) -> None:
    event = classify_failure(name, Endpoint("localhost"), TRUSTED, tls_complete=True)

    assert event == NotLetIn(f"the connection was closed without an answer: {name}")


@pytest.mark.parametrize("name", HANG_UPS)
def test_a_hang_up_before_that_is_not(name: str) -> None:
    event = classify_failure(name, Endpoint("localhost"), TRUSTED)

    assert isinstance(event, ConnectFailed)
    assert "localhost:8883 closed before TLS was complete" in event.detail
    assert "nothing about the device's certificate" in event.next_step


@pytest.mark.parametrize(
    ("error", "detail", "advice"),
    [
        (
            socket.gaierror(-2, "Name or service not known"),
            "the name localhost does not resolve",
            "spelling",
        ),
        (ConnectionRefusedError(111, "refused"), "nothing listens at localhost:8883", "localcloud"),
        (TimeoutError("timed out"), "localhost:8883 does not answer", "firewall"),
        (ConnectionResetError(104, "reset by peer"), "before TLS was complete", "certificate"),
        (OSError(113, "No route to host"), "localhost:8883: [Errno 113] No route to host", ""),
    ],
)
def test_a_server_that_is_not_reached(error: OSError, detail: str, advice: str) -> None:
    event = unreached(error, Endpoint("localhost"))

    assert detail in event.detail
    assert advice in event.next_step


@pytest.mark.parametrize("name", ["AWS_ERROR_MQTT5_CONNACK_TIMEOUT", "AWS_IO_SOCKET_TIMEOUT"])
def test_silence_is_no_refusal(name: str) -> None:
    event = classify_failure(name, Endpoint("localhost"), TRUSTED, tls_complete=True)

    assert isinstance(event, ConnectFailed)
    assert "does not answer" in event.detail


def test_a_server_that_speaks_before_tls_does_not_speak_it() -> None:
    event = classify_failure("AWS_ERROR_HTTP_PROTOCOL_ERROR (2074)", Endpoint("localhost"), TRUSTED)

    assert event == ConnectFailed("localhost:8883 does not speak TLS", "Check the endpoint's port.")


@pytest.mark.parametrize(
    ("server", "advice"),
    [
        (tls(OTHER_CA), "a CA that is not in root_ca"),
        (tls(SERVER_CA, "elsewhere.example"), "is for another name"),
        (tls(SERVER_CA, not_after=NOW - timedelta(days=1)), "has expired"),
        (tls(SERVER_CA, not_before=NOW + timedelta(days=1)), "is not valid yet"),
    ],
    ids=["unknown CA", "other name", "expired", "not yet valid"],
)
def test_a_server_that_is_not_to_be_trusted(server: ssl.SSLContext, advice: str) -> None:
    with ScriptedServer(say_nothing, server) as scripted:
        event = classify_failure(TLS_FAILURE, scripted.endpoint, TRUSTED)

    assert isinstance(event, ConnectFailed)
    assert f"{scripted.endpoint} is not trusted" in event.detail
    assert advice in event.next_step


@pytest.mark.parametrize(
    ("version", "tls_complete", "kind"),
    [
        (ssl.TLSVersion.TLSv1_2, False, NotLetIn),
        (ssl.TLSVersion.TLSv1_3, True, NotLetIn),
        (ssl.TLSVersion.TLSv1_3, False, ConnectFailed),
    ],
)
@pytest.mark.parametrize("demand", [ssl.CERT_OPTIONAL, ssl.CERT_REQUIRED])
def test_a_server_that_does_not_want_our_certificate(
    version: ssl.TLSVersion, tls_complete: bool, kind: type[Event], demand: ssl.VerifyMode
) -> None:
    context = tls(SERVER_CA)
    context.minimum_version = context.maximum_version = version
    context.verify_mode = demand
    with ScriptedServer(say_nothing, context) as scripted:
        event = classify_failure(TLS_FAILURE, scripted.endpoint, TRUSTED, tls_complete=tls_complete)

    assert isinstance(event, kind)


def greet(peer: Peer) -> None:
    peer.send(b"220 mail.example ESMTP\r\n")
    peer.wait_until_closed()


def test_a_server_that_does_not_speak_tls() -> None:
    with ScriptedServer(greet) as scripted:
        event = classify_failure(TLS_FAILURE, scripted.endpoint, TRUSTED)

    assert event == ConnectFailed(
        f"{scripted.endpoint} does not speak TLS", "Check the endpoint's port."
    )


def test_a_server_that_went_away_since() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = Endpoint("localhost", listener.getsockname()[1])

    event = classify_failure(TLS_FAILURE, endpoint, TRUSTED)

    assert isinstance(event, ConnectFailed)
    assert "refused" in event.detail


@pytest.mark.parametrize(
    "root_ca", [b"", b"\xff", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_root_ca_that_is_none(root_ca: bytes) -> None:
    event = classify_failure(TLS_FAILURE, Endpoint("localhost"), root_ca)

    assert event == ConnectFailed("root_ca holds no CA certificate", "Correct root_ca.")


def through(proxy: Endpoint) -> Endpoint:
    return Endpoint("aws.example", 8883, proxy=proxy)


def refuse_the_tunnel(peer: Peer) -> None:
    peer.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
    peer.wait_until_closed()


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (socket.gaierror(-2, "Name or service not known"), "the proxy's name proxy.example"),
        (ConnectionRefusedError(111, "refused"), "nothing listens at the proxy proxy.example:3128"),
        (TimeoutError("timed out"), "the proxy proxy.example:3128 does not answer"),
        (OSError(113, "No route to host"), "the proxy proxy.example:3128: [Errno 113]"),
    ],
)
def test_a_proxy_that_is_not_reached_is_not_taken_for_the_endpoint(
    error: OSError, detail: str
) -> None:
    event = unreached(error, through(Endpoint("proxy.example", 3128)))

    assert event.detail.startswith(detail)
    assert "DEVICE_PROXY" in event.next_step


def test_a_proxy_that_does_not_open_the_way() -> None:
    with ScriptedServer(refuse_the_tunnel) as proxy:
        event = classify_failure(TLS_FAILURE, through(proxy.endpoint), TRUSTED)

        assert isinstance(event, ConnectFailed)
        assert f"aws.example:8883: the proxy {proxy.endpoint} refused it" in event.detail
        assert "answer: 403" in event.detail


def test_what_a_proxy_says_to_the_connection_names_both() -> None:
    endpoint = through(Endpoint("proxy.example", 3128))

    event = unreached(TunnelRefusedError(endpoint, "403"), endpoint)

    assert "aws.example:8883: the proxy proxy.example:3128 refused it" in event.detail
    assert "allow CONNECT" in event.next_step


def behind(proxy: ScriptedServer) -> Endpoint:
    return Endpoint("localhost", 443, proxy.endpoint)


def test_a_server_behind_a_proxy_is_looked_at() -> None:
    with ScriptedServer(proxy_to(tls(OTHER_CA), OPENED)) as proxy:
        event = classify_failure(TLS_FAILURE, behind(proxy), TRUSTED)

    assert isinstance(event, ConnectFailed)
    assert "localhost:443 is not trusted" in event.detail


@pytest.mark.parametrize(("name", "trusted"), [("aws.example", True), ("localhost", False)])
def test_the_server_behind_a_proxy_has_to_have_its_own_name(name: str, trusted: bool) -> None:
    with ScriptedServer(proxy_to(tls(SERVER_CA, name), OPENED)) as proxy:
        distrust = reason_for_distrust(through(proxy.endpoint), TRUSTED)

    assert (distrust is None) is trusted


def drip(peer: Peer) -> None:
    with suppress(OSError):
        while not peer.is_gone(0.02):
            peer.send(b"x")


def test_a_proxy_that_never_comes_to_an_end_has_a_deadline() -> None:
    with ScriptedServer(drip) as proxy, pytest.raises(TimeoutError):
        way_to(through(proxy.endpoint), 0.3)


@pytest.mark.parametrize("answer", [b"", b"x" * 20_000])
def test_a_proxy_that_speaks_no_http(answer: bytes) -> None:
    with ScriptedServer(proxy_to(tls(SERVER_CA), answer)) as proxy:
        event = classify_failure(TLS_FAILURE, behind(proxy), TRUSTED)

    assert isinstance(event, ConnectFailed)
    assert f"localhost:443: the proxy {proxy.endpoint} refused it" in event.detail
    assert "answer: no HTTP" in event.detail
