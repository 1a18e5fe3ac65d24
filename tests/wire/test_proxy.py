"""Does a device get through a proxy that asks for a login, and say what a refusing one wants?"""

from collections.abc import Callable
from typing import Final

import pytest
import trustme

from device.config.endpoint import Endpoint, Login
from device.config.settings import Connection
from device.connection.awscrt_session import AwscrtSession
from device.connection.connect_failure import classify_failure
from device.provisioning import actions as act
from device.provisioning import events as ev
from device.provisioning.events import Credential
from device.storage.keys import MemoryIdentity
from tests.support.scripted_server import Peer, ScriptedServer, let_in, tls

pytestmark = pytest.mark.wire

CA: Final = trustme.CA()
ROOT_CA: Final = CA.cert_pem.bytes()
SERVER: Final = tls(CA, "aws.example")
CLIENT: Final = CA.issue_cert("client@firstboot.example")
IDENTITY: Final = MemoryIdentity(CLIENT.cert_chain_pems[0].bytes(), CLIENT.private_key_pem.bytes())
LOGIN: Final = Login("user", "p@ss:w\u00f6rd")
QUICK: Final = Connection(connect_timeout=5.0, keep_alive=30)
FAILURE: Final = "AWS_IO_TLS_ERROR_NEGOTIATION_FAILURE (1029)"

Event = ev.Event | None


def proxy_that_wants(login: Login, refusal: bytes = b"407 ") -> Callable[[Peer], None]:
    """Return a proxy that is the server itself, for those who bring ``login``."""

    def script(peer: Peer) -> None:
        assert peer.line().startswith(b"CONNECT aws.example:8883 ")
        head = [line.partition(b": ") for line in iter(peer.line, b"")]
        given = {name.lower(): value for name, _, value in head}
        if given.get(b"proxy-authorization") != login.basic.encode():
            peer.send(b"HTTP/1.1 " + refusal + b"x\r\nContent-Length: 0\r\n\r\n")
            return
        peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        peer.play_over_tls(SERVER, let_in)

    return script


def through(server: ScriptedServer, login: Login | None) -> Endpoint:
    proxy = Endpoint(server.endpoint.host, server.endpoint.port, login=login)
    return Endpoint("aws.example", proxy=proxy)


def dialled(endpoint: Endpoint) -> Event:
    session = AwscrtSession(endpoint, ROOT_CA, lambda _: IDENTITY, QUICK)
    try:
        session.perform(act.Connect(Credential.CLAIM, "client"))
        return session.next_event(10.0)
    finally:
        session.close()


def probed(endpoint: Endpoint) -> Event:
    return classify_failure(FAILURE, endpoint, ROOT_CA)


@pytest.mark.parametrize("login", [LOGIN, Login("user", "")])
def test_a_login_opens_the_way(login: Login) -> None:
    with ScriptedServer(proxy_that_wants(login)) as server:
        assert dialled(through(server, login)) == ev.Connected(Credential.CLAIM)


def test_the_probe_brings_the_login_too() -> None:
    with ScriptedServer(proxy_that_wants(LOGIN)) as server:
        event = probed(through(server, LOGIN))

    assert event == ev.ConnectFailed(
        f"aws.example:8883 could not agree on TLS parameters: {FAILURE}"
    )


@pytest.mark.parametrize("ask", [dialled, probed])
@pytest.mark.parametrize(
    ("login", "refusal", "detail", "advice"),
    [
        (None, b"407 ", "requires a user name and a password (407)", "http://USER:PASSWORD@HOST"),
        (Login("user", "wrong"), b"407 ", "does not accept the user name", "Correct USER and"),
        (Login("user", "wrong"), b"403 ", "refused it (answer: 403)", "allow CONNECT"),
        (None, b"502 ", "refused it (answer: 502)", "allow CONNECT"),
    ],
)
def test_a_refusal_says_what_the_proxy_wants(
    ask: Callable[[Endpoint], Event], login: Login | None, refusal: bytes, detail: str, advice: str
) -> None:
    with ScriptedServer(proxy_that_wants(LOGIN, refusal)) as server:
        event = ask(through(server, login))

    assert isinstance(event, ev.ConnectFailed)
    assert detail in event.detail
    assert advice in event.next_step
    assert "wrong" not in repr(event)
