"""Does the session report what happened, with the local AWS and with servers that misbehave?"""

import queue
import resource
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
import trustme

from device.config.endpoint import Endpoint
from device.config.settings import Connection
from device.connection.awscrt_session import AwscrtSession
from device.connection.session import StopRequested
from device.errors import ExitCode, StoppedError
from device.errors.provisioning import CREDENTIAL_UNUSABLE
from device.provisioning import actions as act
from device.provisioning import events as ev
from device.provisioning import topics
from device.provisioning.events import Credential
from device.runtime.clock import SystemClock
from device.runtime.loop import Patience
from device.storage.keys import MemoryIdentity
from tests.support.asking import Asking, loop_over
from tests.support.certificates import new_key, pem_of
from tests.support.device_process import Works, works_for
from tests.support.errors import raises
from tests.support.hang import SECONDS
from tests.support.own_process import in_own_process
from tests.support.scripted_server import (
    DISCONNECT,
    OPENED,
    Peer,
    Script,
    ScriptedServer,
    after_the_hello,
    amid_the_handshake,
    answering,
    connack,
    disconnect,
    hang_up,
    let_in,
    proxy_to,
    publish,
    say_nothing,
    then_reset,
    then_say_goodbye,
    tls,
)
from tests.wire.conftest import LocalCloud

pytestmark = pytest.mark.wire

OPTIONS: Final = Connection(connect_timeout=SECONDS, keep_alive=30)
IMPATIENT: Final = Connection(connect_timeout=1.0, keep_alive=30)
"""For a server that never answers."""
CLIENT_ID: Final = "claim-session-test"
CONNECT: Final = act.Connect(Credential.CLAIM, CLIENT_ID)
CA: Final = trustme.CA()
SERVER: Final = tls(CA)
CLIENT: Final = CA.issue_cert("client@firstboot.example")
KEY_PEM: Final = CLIENT.private_key_pem.bytes()
TEST_IDENTITY: Final = MemoryIdentity(CLIENT.cert_chain_pems[0].bytes(), KEY_PEM)
OTHER_KEY_PEM: Final = pem_of(new_key())
REPLIES: Final = topics.replies(topics.CREATE_CERTIFICATE_FROM_CSR)
FORBIDDEN: Final = "$aws/things/someone/shadow/get"


@contextmanager
def session_with(
    endpoint: Endpoint,
    root_ca: bytes,
    identity: MemoryIdentity = TEST_IDENTITY,
    options: Connection = OPTIONS,
) -> Iterator[AwscrtSession]:
    session = AwscrtSession(endpoint, root_ca, lambda _: identity, options)
    try:
        yield session
    finally:
        session.close()


@contextmanager
def session_at(server: ScriptedServer, options: Connection = OPTIONS) -> Iterator[AwscrtSession]:
    with session_with(server.endpoint, CA.cert_pem.bytes(), options=options) as session:
        yield session


def outcome(session: AwscrtSession, action: act.Action) -> ev.Event | None:
    """Perform ``action``; return what came of it."""
    session.perform(action)
    return session.next_event(SECONDS)


# --- with the local AWS -----------------------------------------------------------------


@pytest.fixture(scope="module")
def works(local_cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Works:
    return works_for(local_cloud, tmp_path_factory.mktemp("station") / "s")


@pytest.fixture
def connected(works: Works) -> Iterator[AwscrtSession]:
    """A session that the claim has opened."""
    endpoint = Endpoint(works.cloud.mqtt_host, works.cloud.mqtt_port)
    with session_with(endpoint, works.cloud.root_ca.read_bytes(), works.claim) as session:
        assert outcome(session, CONNECT) == ev.Connected(Credential.CLAIM)
        yield session


def test_a_subscription_that_is_granted(connected: AwscrtSession) -> None:
    assert outcome(connected, act.Subscribe(REPLIES)) == ev.Subscribed()


def test_a_subscription_of_which_one_topic_is_denied(connected: AwscrtSession) -> None:
    event = outcome(connected, act.Subscribe((*REPLIES, FORBIDDEN)))

    assert event == ev.SubscriptionDenied((FORBIDDEN,))


def test_a_publication_that_is_denied(connected: AwscrtSession) -> None:
    assert outcome(connected, act.Publish(FORBIDDEN, b"{}")) == ev.PublishDenied(FORBIDDEN)


def test_a_request_that_is_denied(connected: AwscrtSession) -> None:
    assert outcome(connected, act.Request(FORBIDDEN, b"{}")) == ev.PublishDenied(FORBIDDEN)


def test_a_publication_that_is_acknowledged(connected: AwscrtSession) -> None:
    request = act.Publish(topics.CREATE_CERTIFICATE_FROM_CSR, b"garbage")

    assert outcome(connected, request) == ev.PublishAcknowledged()


def test_a_reply_comes_without_an_acknowledgement(connected: AwscrtSession) -> None:
    outcome(connected, act.Subscribe(REPLIES))

    event = outcome(connected, act.Request(topics.CREATE_CERTIFICATE_FROM_CSR, b"garbage"))

    assert isinstance(event, ev.MessageReceived)
    assert event.topic == REPLIES[1]
    assert b"errorCode" in event.payload
    assert connected.next_event(0.05) is None


def test_a_disconnect_is_reported(connected: AwscrtSession) -> None:
    assert outcome(connected, act.Disconnect()) == ev.Disconnected()
    assert connected.next_event(0.05) is None


def test_another_client_with_the_same_id(connected: AwscrtSession, works: Works) -> None:
    endpoint = Endpoint(works.cloud.mqtt_host, works.cloud.mqtt_port)
    with session_with(endpoint, works.cloud.root_ca.read_bytes(), works.claim) as other:
        assert outcome(other, CONNECT) == ev.Connected(Credential.CLAIM)

        event = connected.next_event(SECONDS)

    assert isinstance(event, ev.ConnectionLost)
    assert event.detail.startswith("DISCONNECT 0x8E session taken over")
    assert event.taken_over


def test_a_client_id_that_the_policy_does_not_allow(works: Works) -> None:
    endpoint = Endpoint(works.cloud.mqtt_host, works.cloud.mqtt_port)
    with session_with(endpoint, works.cloud.root_ca.read_bytes(), works.claim) as session:
        event = outcome(session, act.Connect(Credential.CLAIM, "a-thing"))

    assert isinstance(event, ev.NotLetIn)


def test_a_certificate_that_the_cloud_never_issued(works: Works) -> None:
    endpoint = Endpoint(works.cloud.mqtt_host, works.cloud.mqtt_port)
    with session_with(endpoint, works.cloud.root_ca.read_bytes()) as session:
        event = outcome(session, CONNECT)

    assert isinstance(event, ev.NotLetIn)


# --- with servers that do not let it in ---------------------------------------------------


def refuse(code: int) -> Callable[[Peer], None]:
    def script(peer: Peer) -> None:
        peer.packet()
        peer.send(connack(code))
        peer.wait_until_closed()

    return script


def speak_no_mqtt(peer: Peer) -> None:
    peer.packet()
    peer.send(b"\0\0")
    peer.wait_until_closed()


def never_answer(peer: Peer) -> None:
    peer.wait_until_closed()


@pytest.mark.parametrize(
    ("script", "kind", "detail"),
    [
        (refuse(0x87), ev.NotLetIn, "CONNACK 0x87 not authorized"),
        (refuse(0x89), ev.ConnectFailed, "CONNACK 0x89 server busy"),
        (refuse(0x03), ev.ConnectFailed, "reason code that MQTT 5 does not define"),
        (refuse(0xFF), ev.ConnectFailed, "reason code that MQTT 5 does not define"),
        (never_answer, ev.ConnectFailed, "TIMEOUT"),
        (speak_no_mqtt, ev.ConnectFailed, "does not speak MQTT 5"),
    ],
)
def test_a_server_that_does_not_let_us_in(
    script: Script, kind: type[ev.NotLetIn | ev.ConnectFailed], detail: str
) -> None:
    options = IMPATIENT if script is never_answer else OPTIONS
    with ScriptedServer(script, SERVER) as server, session_at(server, options) as session:
        event = outcome(session, CONNECT)

    assert isinstance(event, kind)
    assert detail in event.detail


VERSIONS: Final = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


def server_of(version: ssl.TLSVersion) -> ssl.SSLContext:
    context = tls(CA)
    context.minimum_version = context.maximum_version = version
    return context


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("end", [lambda script: script, then_reset], ids=["FIN", "RST"])
@pytest.mark.parametrize("where", ["at accept", "after the ClientHello", "amid the handshake"])
def test_a_hang_up_before_tls_is_complete_says_nothing_about_us(
    version: ssl.TLSVersion, end: Callable[[Script], Script], where: str
) -> None:
    scripts: dict[str, Script] = {
        "at accept": say_nothing,
        "after the ClientHello": after_the_hello,
        "amid the handshake": amid_the_handshake(server_of(version)),
    }
    with ScriptedServer(end(scripts[where])) as server, session_at(server) as session:
        event = outcome(session, CONNECT)

    assert isinstance(event, ev.ConnectFailed)
    assert "closed before TLS was complete" in event.detail


def leave_unread(peer: Peer) -> None:
    """Until the client has spoken, it may not have read the end of the handshake."""
    peer.wait_unread()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("end", [lambda script: script, then_reset, then_say_goodbye])
@pytest.mark.parametrize("script", [leave_unread, hang_up])
def test_a_hang_up_after_the_handshake_is_a_refusal(
    version: ssl.TLSVersion, end: Callable[[Script], Script], script: Script
) -> None:
    context = server_of(version)
    with ScriptedServer(end(script), context) as server, session_at(server) as session:
        event = outcome(session, CONNECT)

    assert isinstance(event, ev.NotLetIn)
    assert "closed without an answer" in event.detail


def alert_at_the_hello(peer: Peer) -> None:
    peer.hear()
    peer.send(bytes([21, 3, 3, 0, 2, 2, 40]))


def test_an_alert_before_the_server_saw_our_certificate_says_nothing_about_it() -> None:
    with ScriptedServer(alert_at_the_hello) as server, session_at(server) as session:
        event = outcome(session, CONNECT)

    assert isinstance(event, ev.ConnectFailed)
    assert "could not agree on TLS" in event.detail


@pytest.mark.parametrize("demand", [ssl.CERT_OPTIONAL, ssl.CERT_REQUIRED])
@pytest.mark.parametrize("version", VERSIONS)
def test_a_server_that_refuses_our_certificate_in_tls(
    version: ssl.TLSVersion, demand: ssl.VerifyMode
) -> None:
    context = server_of(version)
    context.verify_mode = demand
    stranger = trustme.CA().issue_cert("client@elsewhere.example")
    pems = stranger.cert_chain_pems[0].bytes(), stranger.private_key_pem.bytes()
    with (
        ScriptedServer(never_answer, context) as server,
        session_with(server.endpoint, CA.cert_pem.bytes(), MemoryIdentity(*pems)) as session,
    ):
        event = outcome(session, CONNECT)

    assert isinstance(event, ev.NotLetIn)
    assert "opened 1" not in server.log


@pytest.mark.parametrize(
    ("server", "advice"),
    [
        (tls(trustme.CA()), "a CA that is not in root_ca"),
        (tls(CA, "elsewhere.example"), "is for another name"),
        (tls(CA, not_after=datetime.now(UTC) - timedelta(days=1)), "has expired"),
    ],
    ids=["unknown CA", "other name", "expired"],
)
def test_a_server_that_is_not_to_be_trusted(server: ssl.SSLContext, advice: str) -> None:
    """The connection itself refuses it, and nothing is said to it; nor does it take 30 seconds."""
    with ScriptedServer(let_in, server) as scripted, session_at(scripted) as session:
        event = outcome(session, CONNECT)

    assert isinstance(event, ev.ConnectFailed)
    assert advice in event.next_step
    assert scripted.log == []


@pytest.mark.parametrize(
    ("name", "kind"), [("aws.example", ev.Connected), ("localhost", ev.ConnectFailed)]
)
def test_a_server_behind_a_proxy_has_to_have_its_own_name(name: str, kind: type[ev.Event]) -> None:
    with ScriptedServer(proxy_to(tls(CA, name), OPENED, let_in)) as proxy:
        endpoint = Endpoint("aws.example", 8883, proxy.endpoint)
        with session_with(endpoint, CA.cert_pem.bytes()) as session:
            event = outcome(session, CONNECT)

    assert isinstance(event, kind)


def greet(peer: Peer) -> None:
    peer.send(b"220 mail.example ESMTP\r\n")
    peer.wait_until_closed()


def test_a_server_that_does_not_speak_tls() -> None:
    with ScriptedServer(greet) as server, session_at(server) as session:
        event = outcome(session, CONNECT)

    assert isinstance(event, ev.ConnectFailed)
    assert "does not speak TLS" in event.detail


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = Endpoint("localhost", listener.getsockname()[1])
    with session_with(endpoint, CA.cert_pem.bytes()) as session:
        event = outcome(session, CONNECT)

    assert isinstance(event, ev.ConnectFailed)
    assert "nothing listens" in event.detail
    assert "localcloud up" in event.next_step


# --- what cannot even be tried ------------------------------------------------------------


@pytest.mark.parametrize(
    ("root_ca", "identity"),
    [
        (b"garbage", TEST_IDENTITY),
        (CA.cert_pem.bytes(), MemoryIdentity(CLIENT.cert_chain_pems[0].bytes(), OTHER_KEY_PEM)),
        (CA.cert_pem.bytes(), MemoryIdentity(b"", KEY_PEM)),
        (CA.cert_pem.bytes(), MemoryIdentity(b"garbage", KEY_PEM)),
    ],
    ids=["no root CA", "another key", "no certificate", "garbage"],
)
def test_what_tls_cannot_even_begin_with(root_ca: bytes, identity: MemoryIdentity) -> None:
    """The endpoint is not to blame, and trying again does not help."""
    with (
        ScriptedServer(let_in, SERVER) as server,
        session_with(server.endpoint, root_ca, identity) as session,
        raises(CREDENTIAL_UNUSABLE) as raised,
    ):
        session.perform(CONNECT)

    assert raised.value.exit_code is ExitCode.CONFIGURATION_INVALID
    assert "the claim" in str(raised.value)
    assert server.log == []


def test_what_is_no_order_for_a_session() -> None:
    with session_with(Endpoint("localhost"), CA.cert_pem.bytes()) as session:
        with pytest.raises(TypeError, match="GenerateKey"):
            session.perform(act.GenerateKey())
        with pytest.raises(RuntimeError, match="nothing was connected"):
            session.perform(act.Publish("t", b""))


# --- with connections that end ------------------------------------------------------------


def let_in_and_drop(peer: Peer) -> None:
    peer.packet()
    peer.send(connack())


def dismiss(code: int, reason: str = "") -> Script:
    def script(peer: Peer) -> None:
        let_in_and_drop(peer)
        peer.send(disconnect(code, reason))

    return script


@pytest.mark.parametrize(
    ("script", "detail"),
    [
        (let_in_and_drop, "AWS_"),
        (dismiss(0x8B), "DISCONNECT 0x8B server shutting down"),
        (dismiss(0x8B, "a\x1bb\nnext: c"), r"shutting down: a\x1bb\nnext: c"),
        (dismiss(0x7F), "DISCONNECT with a reason code that MQTT 5 does not define"),
    ],
)
def test_a_connection_that_the_server_ends(script: Script, detail: str) -> None:
    with ScriptedServer(script, SERVER) as server, session_at(server) as session:
        assert outcome(session, CONNECT) == ev.Connected(Credential.CLAIM)
        event = session.next_event(SECONDS)

        assert isinstance(event, ev.ConnectionLost)
        assert detail in event.detail
        session.perform(act.Publish("t", b"into the void"))
        assert session.next_event(0.05) is None
        assert server.log == ["opened 1", "closed 1"]


@pytest.mark.parametrize(
    ("codes", "event"),
    [
        ((0x00, 0x01), ev.Subscribed),
        ((0x00, 0x87), ev.SubscriptionDenied),
        ((0x00, 0x97), ev.NotAcknowledged),
        ((0x00, 0xE5), ev.NotAcknowledged),
        ((0x00,), ev.NotAcknowledged),
        ((0x00, 0x00, 0x87), ev.NotAcknowledged),
    ],
)
def test_each_suback_is_an_event(codes: tuple[int, ...], event: type[ev.Event]) -> None:
    script = answering(codes, 0)
    with ScriptedServer(script, SERVER) as server, session_at(server) as session:
        outcome(session, CONNECT)

        assert isinstance(outcome(session, act.Subscribe(("a", "b"))), event)


@pytest.mark.parametrize(
    ("code", "event"),
    [
        (0x10, ev.PublishAcknowledged),
        (0x87, ev.PublishDenied),
        (0x91, ev.NotAcknowledged),
        (0x7E, ev.NotAcknowledged),
    ],
)
def test_each_puback_is_an_event(code: int, event: type[ev.Event]) -> None:
    script = answering((0,), code)
    with ScriptedServer(script, SERVER) as server, session_at(server) as session:
        outcome(session, CONNECT)

        assert isinstance(outcome(session, act.Publish("t", b"")), event)


def test_connect_says_how_much_the_device_takes() -> None:
    packets: queue.SimpleQueue[tuple[int, bytes]] = queue.SimpleQueue()

    def note(peer: Peer) -> None:
        packets.put(peer.receive())

    with ScriptedServer(note, SERVER) as server, session_at(server) as session:
        outcome(session, CONNECT)
        _, body = packets.get(timeout=SECONDS)

    keep_alive, receive_maximum, packet_size = body[8:10], b"\x21\0\x10", b"\x27\0\x04\0\0"
    assert body.startswith(b"\0\4MQTT\5\2")
    assert int.from_bytes(keep_alive, "big") == OPTIONS.keep_alive
    assert receive_maximum + packet_size in body
    assert body.endswith(CLIENT_ID.encode())


def flooded_by_one_packet() -> tuple[str, int]:
    """Take a PUBLISH of 200 MB; return what happened, and the mebibytes that it took."""
    chunk = bytes(65_536)

    def pour(peer: Peer) -> None:
        peer.packet()
        peer.send(connack() + publish("t", b"", pretending=200_000_000))
        with suppress(OSError):
            for _ in range(200_000_000 // len(chunk)):
                peer.send(chunk)

    with ScriptedServer(pour, SERVER) as server, session_at(server) as session:
        outcome(session, CONNECT)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        event = session.next_event(SECONDS)
        taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return repr(event), taken // 1024  # Linux counts kibibytes


def test_a_packet_of_200_megabytes_is_not_taken() -> None:
    event, mebibytes = in_own_process(flooded_by_one_packet, seconds=5 * SECONDS)

    assert event.startswith("ConnectionLost")
    assert "a packet of more than 256 KiB" in event
    assert mebibytes < 48, "of 200, which awscrt would hold twice"


def test_a_packet_that_is_larger_than_announced_ends_the_connection() -> None:
    def answer(peer: Peer) -> None:
        peer.packet()
        peer.send(connack() + publish("t", bytes(262_145)))
        peer.wait_until_closed()

    with ScriptedServer(answer, SERVER) as server, session_at(server) as session:
        outcome(session, CONNECT)
        event = session.next_event(SECONDS)

    assert isinstance(event, ev.ConnectionLost)
    assert "a packet of more than 256 KiB" in event.detail


def test_a_flood_of_small_messages_is_no_large_packet() -> None:
    """A time-out and a stop are kept in it, and the connection stays up."""

    def flood(peer: Peer) -> None:
        peer.packet()
        peer.send(connack())
        many = publish("a/topic", bytes(100)) * 200
        with suppress(OSError):
            while True:
                peer.send(many)

    with ScriptedServer(flood, SERVER) as server, session_at(server) as session:
        outcome(session, CONNECT)
        work = Asking(timeout=1.0)
        loop_over(session, SystemClock()).run(work, Patience())

        assert work.got == ev.TimedOut()
        session.request_stop()
        with pytest.raises(StoppedError):
            loop_over(session, SystemClock()).run(Asking(timeout=SECONDS), Patience())


def test_the_largest_reply_of_aws_is_taken() -> None:
    def answer(peer: Peer) -> None:
        peer.packet()
        peer.send(connack() + publish("t", bytes(131_072)) * 3)
        peer.wait_until_closed()

    with ScriptedServer(answer, SERVER) as server, session_at(server) as session:
        outcome(session, CONNECT)

        sizes = [len(message.payload) for message in messages_of(session, 3)]

    assert sizes == [131_072] * 3


def messages_of(session: AwscrtSession, count: int) -> list[ev.MessageReceived]:
    messages = [session.next_event(SECONDS) for _ in range(count)]
    assert all(isinstance(message, ev.MessageReceived) for message in messages)
    return [message for message in messages if isinstance(message, ev.MessageReceived)]


def let_in_and_chat(peer: Peer) -> None:
    peer.packet()
    peer.send(connack() + publish("a/topic", b"news"))
    peer.wait_until_closed()


def test_a_message_that_comes_at_once() -> None:
    with ScriptedServer(let_in_and_chat, SERVER) as server, session_at(server) as session:
        assert outcome(session, CONNECT) == ev.Connected(Credential.CLAIM)

        assert session.next_event(SECONDS) == ev.MessageReceived("a/topic", b"news")


def test_news_of_a_closed_connection_are_dropped() -> None:
    with ScriptedServer(let_in_and_chat, SERVER) as server, session_at(server) as session:
        assert outcome(session, CONNECT) == ev.Connected(Credential.CLAIM)
        session.close()

        assert session.next_event(0.0) is None


def test_a_connection_is_closed_with_a_disconnect() -> None:
    packets: queue.SimpleQueue[int] = queue.SimpleQueue()

    def note(peer: Peer) -> None:
        peer.packet()
        peer.send(connack())
        packets.put(peer.packet())

    with ScriptedServer(note, SERVER) as server, session_at(server) as session:
        outcome(session, CONNECT)
        session.close()

        assert packets.get(timeout=SECONDS) == DISCONNECT


def test_no_two_connections_overlap() -> None:
    with ScriptedServer(let_in, SERVER) as server, session_at(server) as session:
        for _ in range(3):
            assert outcome(session, CONNECT) == ev.Connected(Credential.CLAIM)
        session.close()

    expected = [f"{what} {number}" for number in (1, 2, 3) for what in ("opened", "closed")]
    assert server.log == expected


def test_a_failed_connection_is_not_retried_by_itself() -> None:
    with ScriptedServer(hang_up, SERVER) as server, session_at(server) as session:
        outcome(session, CONNECT)

        assert session.next_event(1.5) is None
        assert server.log == ["opened 1", "closed 1"]


# --- stopping -------------------------------------------------------------------------------


def test_a_stop_is_heard_without_a_connection() -> None:
    with session_with(Endpoint("localhost"), CA.cert_pem.bytes()) as session:
        session.request_stop()

        assert session.next_event(None) == StopRequested()


def test_a_stop_is_heard_whichever_connection_is_open() -> None:
    with ScriptedServer(let_in, SERVER) as server, session_at(server) as session:
        session.request_stop()
        session.perform(CONNECT)

        assert session.next_event(SECONDS) == StopRequested()
        assert session.next_event(SECONDS) == ev.Connected(Credential.CLAIM)


def test_the_key_of_a_connection_is_shown_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="device")
    with ScriptedServer(let_in, SERVER) as server, session_at(server) as session:
        outcome(session, CONNECT)

    assert f"CONNECT as {CLIENT_ID}" in caplog.text
    assert "PRIVATE" not in caplog.text
    assert KEY_PEM.decode().splitlines()[1] not in caplog.text


def stop_that_interrupts_nothing() -> str:
    """Wait for long, and be asked to stop by a signal that another thread receives."""
    session = AwscrtSession(Endpoint("localhost", 1), b"", lambda _: TEST_IDENTITY, OPTIONS)
    signal.signal(signal.SIGTERM, lambda *_: session.request_stop())

    def receive() -> None:
        threading.Event().wait(0.5)  # until the main thread waits; else this shows nothing
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

    threading.Thread(target=receive).start()
    return type(session.next_event(SECONDS)).__name__


def test_a_stop_is_heard_in_the_middle_of_a_long_wait() -> None:
    """As when the signal comes in the instant before the wait begins."""
    heard = in_own_process(stop_that_interrupts_nothing, seconds=SECONDS)
    assert heard == "StopRequested"
