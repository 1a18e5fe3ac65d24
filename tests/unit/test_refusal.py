"""Is a failed connection explained by what is really wrong at the other end?"""

import socket
import ssl
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
import trustme

from device.provisioning.events import ConnectFailed, NotLetIn
from device.runtime.endpoint import Endpoint
from device.runtime.refusal import classify_connack, classify_failure
from tests.support.scripted_server import Peer, Script, ScriptedServer, say_nothing, tls

TLS_FAILURE: Final = "AWS_IO_TLS_ERROR_NEGOTIATION_FAILURE (1029)"
SERVER_CA: Final = trustme.CA()
OTHER_CA: Final = trustme.CA()
TRUSTED: Final = SERVER_CA.cert_pem.bytes()
NOW: Final = datetime.now(UTC)


@pytest.mark.parametrize(
    ("code", "detail"),
    [
        (0x86, "CONNACK 0x86 bad user name"),
        (0x87, "CONNACK 0x87 not authorized"),
        (0x8A, "CONNACK 0x8A banned"),
    ],
)
def test_a_connack_that_refuses_this_client(code: int, detail: str) -> None:
    assert classify_connack(code) == NotLetIn(detail)


@pytest.mark.parametrize(
    ("code", "detail", "advice"),
    [
        (0x88, "CONNACK 0x88 server unavailable", "backs off"),
        (0x89, "CONNACK 0x89 server busy", "backs off"),
        (0x97, "CONNACK 0x97 quota exceeded", "backs off"),
        (0x9F, "CONNACK 0x9F connection rate exceeded", "backs off"),
        (0x85, "CONNACK 0x85", "3.2.2.2"),
        (0xFF, "CONNACK 0xFF", "3.2.2.2"),
    ],
)
def test_a_connack_that_is_not_about_this_client(code: int, detail: str, advice: str) -> None:
    event = classify_connack(code)

    assert isinstance(event, ConnectFailed)
    assert event.detail == detail
    assert advice in event.next_step


@pytest.mark.parametrize(
    "name", ["AWS_ERROR_MQTT_UNEXPECTED_HANGUP (5134)", "AWS_IO_SOCKET_CLOSED (1051)"]
)
def test_a_hang_up_is_a_refusal(name: str) -> None:
    event = classify_failure(name, Endpoint("localhost"), TRUSTED)

    assert event == NotLetIn(f"the connection was closed without an answer: {name}")


@pytest.mark.parametrize(
    ("name", "detail", "advice"),
    [
        ("AWS_IO_DNS_INVALID_NAME (1059)", "the name localhost does not resolve", "spelling"),
        ("AWS_IO_SOCKET_CONNECTION_REFUSED (1047)", "nothing listens", "localcloud up"),
        ("AWS_IO_SOCKET_TIMEOUT (1048)", "does not answer", "firewall"),
        ("AWS_IO_SOCKET_NO_ROUTE_TO_HOST (1049)", "localhost:8883: AWS_IO_SOCKET_NO_ROUTE", ""),
    ],
)
def test_a_server_that_is_not_reached(name: str, detail: str, advice: str) -> None:
    event = classify_failure(name, Endpoint("localhost"), TRUSTED)

    assert isinstance(event, ConnectFailed)
    assert detail in event.detail
    assert name in event.detail
    assert advice in event.next_step


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


def test_a_server_that_does_not_want_our_certificate() -> None:
    with ScriptedServer(say_nothing, tls(SERVER_CA)) as scripted:
        event = classify_failure(TLS_FAILURE, scripted.endpoint, TRUSTED)

    assert event == NotLetIn(f"TLS was refused by the server: {TLS_FAILURE}")


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


def test_a_proxy_that_does_not_open_the_way() -> None:
    with ScriptedServer(refuse_the_tunnel) as proxy:
        event = classify_failure(TLS_FAILURE, through(proxy.endpoint), TRUSTED)

        assert isinstance(event, ConnectFailed)
        assert f"the proxy {proxy.endpoint} does not open it" in event.detail


def test_what_awscrt_says_of_a_proxy_names_both() -> None:
    proxy = Endpoint("proxy.example", 3128)

    event = classify_failure("AWS_ERROR_HTTP_PROXY_CONNECT_FAILED (2071)", through(proxy), TRUSTED)

    assert isinstance(event, ConnectFailed)
    assert "the proxy proxy.example:3128 does not open aws.example:8883" in event.detail


def proxy_to(server: ssl.SSLContext, answer: bytes) -> Script:
    """Return an HTTP proxy that answers CONNECT, and is then the server itself."""

    def script(peer: Peer) -> None:
        asked = peer.line()
        while peer.line():
            pass
        assert asked == b"CONNECT localhost:443 HTTP/1.1"
        peer.send(answer)
        if b" 200 " in answer:
            peer.start_tls(server)

    return script


def behind(proxy: ScriptedServer) -> Endpoint:
    return Endpoint("localhost", 443, proxy.endpoint)


def test_a_server_behind_a_proxy_is_looked_at() -> None:
    answer = b"HTTP/1.1 200 Connection established\r\n\r\n"
    with ScriptedServer(proxy_to(tls(OTHER_CA), answer)) as proxy:
        event = classify_failure(TLS_FAILURE, behind(proxy), TRUSTED)

    assert isinstance(event, ConnectFailed)
    assert "localhost:443 is not trusted" in event.detail


@pytest.mark.parametrize("answer", [b"", b"x" * 20_000])
def test_a_proxy_that_speaks_no_http(answer: bytes) -> None:
    with ScriptedServer(proxy_to(tls(SERVER_CA), answer)) as proxy:
        event = classify_failure(TLS_FAILURE, behind(proxy), TRUSTED)

    assert isinstance(event, ConnectFailed)
    assert f"the proxy {proxy.endpoint} does not open it" in event.detail
