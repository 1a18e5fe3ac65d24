"""Does the real connection work on a network that is slow, IPv6 only, filtered or half dead?"""

import socket
from pathlib import Path
from typing import Any, Final

import pytest
import trustme

from device.config.endpoint import HTTPS_PORT, Endpoint
from device.config.settings import Connection
from device.connection.awscrt_session import AwscrtSession
from device.errors import ExitCode
from device.provisioning import actions as act
from device.provisioning import events as ev
from device.provisioning.events import Credential
from device.storage.keys import MemoryIdentity
from tests.support.device_process import PATIENT, Finished, Works, boot_here, works_for
from tests.support.hang import SECONDS
from tests.support.scripted_server import Peer, ScriptedServer, let_in, proxy_to, tls
from tests.support.slow_link import slow_link
from tests.wire.conftest import LocalCloud

pytestmark = pytest.mark.wire

CA: Final = trustme.CA()
CLIENT: Final = CA.issue_cert("client@firstboot.example")
IDENTITY: Final = MemoryIdentity(CLIENT.cert_chain_pems[0].bytes(), CLIENT.private_key_pem.bytes())
CONNECTED: Final = ev.Connected(Credential.CLAIM)
OPENED: Final = b"HTTP/1.1 200 OK\r\n\r\n"


@pytest.fixture(scope="module")
def works(local_cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Works:
    return works_for(local_cloud, tmp_path_factory.mktemp("station") / "s")


def session_to(endpoint: Endpoint, keep_alive: int = 30) -> AwscrtSession:
    options = Connection(connect_timeout=SECONDS, keep_alive=keep_alive)
    return AwscrtSession(endpoint, CA.cert_pem.bytes(), lambda _: IDENTITY, options)


def dialled(endpoint: Endpoint) -> ev.Event | None:
    session = session_to(endpoint)
    try:
        session.perform(act.Connect(Credential.CLAIM, "client"))
        return session.next_event(SECONDS)
    finally:
        session.close()


def boot_slowly(works: Works, state: Path, bits_a_second: int) -> Finished:
    """Boot over a slow link, with time-outs for it."""
    slow = {
        "DEVICE_CONNECTION__CONNECT_TIMEOUT": "600",
        "DEVICE_CONNECTION__REPLY_TIMEOUT": "600",
        "DEVICE_CONNECTION__KEEP_ALIVE": "1200",
    }
    with slow_link((works.cloud.mqtt_host, works.cloud.mqtt_port), bits_a_second) as link:
        return boot_here(state, "--endpoint", f"localhost:{link.port}", **slow)


@pytest.mark.parametrize(
    "bits_a_second", [256_000, pytest.param(8_000, marks=pytest.mark.long)], ids=str
)
def test_a_first_boot_over_a_slow_link_ends_in_a_proven_identity(
    works: Works, tmp_path: Path, bits_a_second: int
) -> None:
    state = works.make(tmp_path / "device", f"SN-{bits_a_second}")
    finished = boot_slowly(works, state, bits_a_second)

    assert finished.code == 0, finished.err
    assert finished.identity["thing_name"] == f"SN-{bits_a_second}"


@pytest.mark.long
def test_at_1_kbit_a_second_awscrt_gives_up_and_a_faster_link_leads_home(
    works: Works, tmp_path: Path
) -> None:
    """awscrt lets a handshake take ten seconds, and its Python API has no setting for it."""
    state = works.make(tmp_path / "device", "SN-1000")
    too_slow = boot_slowly(works, state, 1_000)

    assert too_slow.code == ExitCode.TRY_LATER
    assert "AWS_IO_TLS_NEGOTIATION_TIMEOUT" in too_slow.err
    assert boot_here(state).identity["thing_name"] == "SN-1000"


def test_a_server_that_has_ipv6_alone() -> None:
    with ScriptedServer(let_in, tls(CA, "::1"), listens_at="::1") as server:
        assert dialled(Endpoint("::1", server.endpoint.port)) == CONNECTED


@pytest.mark.parametrize("addresses", [("::1",), ("127.0.0.1", "::1")], ids=str)
def test_a_name_whose_ipv6_address_alone_answers(
    addresses: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = socket.getaddrinfo

    def look_up(host: str, *arguments: Any, **named: Any) -> Any:
        hosts = addresses if host == "aws.example" else (host,)
        return [found for each in hosts for found in known(each, *arguments, **named)]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with ScriptedServer(let_in, tls(CA, "aws.example"), listens_at="::1") as server:
        assert dialled(Endpoint("aws.example", server.endpoint.port)) == CONNECTED


def test_port_443_is_asked_for_mqtt_by_alpn() -> None:
    context = tls(CA, "aws.example")
    context.set_alpn_protocols(["http/1.1", "x-amzn-mqtt-ca"])
    agreed: list[str | None] = []

    def note(peer: Peer) -> None:
        agreed.append(peer.alpn)
        let_in(peer)

    with ScriptedServer(proxy_to(context, OPENED, note)) as proxy:
        event = dialled(Endpoint("aws.example", HTTPS_PORT, proxy.endpoint))

    assert event == CONNECTED
    assert agreed == ["x-amzn-mqtt-ca"]


def test_a_name_server_that_fails_at_first_delays_a_first_boot(
    works: Works, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = works.make(tmp_path / "device", "SN-DNS")
    known, asked = socket.getaddrinfo, iter(range(1_000))

    def fail_at_first(*arguments: Any, **named: Any) -> Any:
        if next(asked) < 1:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return known(*arguments, **named)

    monkeypatch.setattr(socket, "getaddrinfo", fail_at_first)
    finished = boot_here(state, **PATIENT)

    assert finished.code == 0, finished.err
    assert finished.identity["thing_name"] == "SN-DNS"
    assert "does not resolve: Temporary failure" in finished.err


def test_a_connection_whose_peer_is_gone_without_a_word_is_ended_by_keep_alive() -> None:
    with ScriptedServer(let_in, tls(CA)) as server:
        session = session_to(server.endpoint, keep_alive=1)
        session.perform(act.Connect(Credential.CLAIM, "client"))
        connected, lost = session.next_event(SECONDS), session.next_event(SECONDS)
        session.close()

    assert connected == CONNECTED
    assert isinstance(lost, ev.ConnectionLost)
    assert "PING" in lost.detail
