"""Does awscrt shake hands with a key that stays in the element: fast, slow, and over TLS 1.3?"""

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from advisor.certificates import Authority, Presented, server_context
from advisor.endpoint import Endpoint as Server
from advisor.journal import Journal
from advisor.script import Script
from advisor.suites import SUPPORTED, TLS_12
from device.config.endpoint import Endpoint
from device.config.settings import Connection
from device.connection.awscrt_session import AwscrtSession
from device.errors.element import KEY_MISMATCH
from device.provisioning import actions as act
from device.provisioning import events as ev
from device.storage.device_storage import DeviceStorage, open_device_storage
from device.storage.element.cryptoki_codes import ReturnValue
from device.storage.element.installation import ElementPlan, attach_element, plan_of
from device.storage.keys import FIRST_DEVICE_KEY, KeyType, Pkcs11Identity, TlsIdentity
from tests.hardware.conftest import Figures
from tests.support.certificates import new_key
from tests.support.elements import ElementBench, module_of
from tests.support.errors import raises
from tests.support.hang import SECONDS
from tests.support.library_faults import Function, in_front_of
from tests.support.sealed_device import make_device
from tests.support.tls_broker import TlsBroker, tls_broker


@pytest.fixture
def plan(bench: ElementBench, label: str) -> ElementPlan:
    return plan_of(bench.new_token(label))


@pytest.fixture
def storage(plan: ElementPlan, tmp_path: Path) -> Iterator[DeviceStorage]:
    with open_device_storage(make_device(tmp_path / "device")) as storage:
        attach_element(storage, plan)
        yield storage


def shake_hands(
    storage: DeviceStorage, broker: TlsBroker, certificate: bytes | None = None
) -> ev.Event | None:
    """Connect once with the device key; return what came of it."""
    key = storage.keys.export_public_key(FIRST_DEVICE_KEY)
    pem = certificate or broker.certificate_for(key)
    return connect(broker, lambda: storage.keys.tls_identity(FIRST_DEVICE_KEY, pem))


def connect(broker: TlsBroker, identity: Callable[[], TlsIdentity]) -> ev.Event | None:
    session = AwscrtSession(broker.endpoint, broker.ca_pem, lambda _: identity(), Connection())
    try:
        session.perform(act.Connect(ev.Credential.DEVICE, "SN-1"))
        return session.next_event(20.0)
    finally:
        session.close()


LET_IN = ev.Connected(ev.Credential.DEVICE)


@pytest.mark.parametrize("key_type", KeyType)
def test_tls_12_is_what_a_key_in_an_element_speaks(
    storage: DeviceStorage, tmp_path: Path, key_type: KeyType
) -> None:
    storage.keys.generate_key(FIRST_DEVICE_KEY, key_type)
    with tls_broker(tmp_path) as broker:
        assert shake_hands(storage, broker) == LET_IN
        assert broker.stop() == {"TLSv1.2": 1}


def test_a_server_of_tls_13_alone_is_reached_by_opting_in(
    storage: DeviceStorage, plan: ElementPlan, tmp_path: Path
) -> None:
    storage.keys.generate_key(FIRST_DEVICE_KEY, KeyType.EC_P256)
    with tls_broker(tmp_path, lowest="1.3") as broker:
        assert shake_hands(storage, broker) != LET_IN
        attach_element(storage, replace(plan, tls13=True))
        assert shake_hands(storage, broker) == LET_IN
        assert broker.stop() == {"TLSv1.3": 1}


def test_the_client_hello_of_an_element_offers_nothing_older_than_tls_12(
    storage: DeviceStorage,
) -> None:
    storage.keys.generate_key(FIRST_DEVICE_KEY, KeyType.EC_P256)
    authority, journal = Authority(), Journal()
    pem = authority.issue(storage.keys.export_public_key(FIRST_DEVICE_KEY), "SN-1")
    context = server_context(authority.server(Presented.GOOD, "localhost"), authority.root_pem)
    with Server(Script(), context, journal, time.monotonic) as server:
        session = AwscrtSession(
            Endpoint("localhost", server.port),
            authority.root_pem,
            lambda _: storage.keys.tls_identity(FIRST_DEVICE_KEY, pem),
            Connection(),
        )
        session.perform(act.Connect(ev.Credential.DEVICE, "SN-1"))
        assert session.next_event(SECONDS) == LET_IN
        session.close()
    hello = next(entry.hello for entry in journal.entries if entry.hello is not None)
    assert hello.versions == (TLS_12,)
    assert set(hello.suites) <= SUPPORTED.keys()


def test_awscrt_still_cannot_do_tls_13_with_an_rsa_key_in_an_element(
    storage: DeviceStorage, tmp_path: Path
) -> None:
    """If this fails, awscrt has learnt RSA-PSS: allow ``key.tls13`` for RSA."""
    storage.keys.generate_key(FIRST_DEVICE_KEY, KeyType.RSA_2048)
    with tls_broker(tmp_path) as broker:
        pem = broker.certificate_for(storage.keys.export_public_key(FIRST_DEVICE_KEY))
        identity = storage.keys.tls_identity(FIRST_DEVICE_KEY, pem)
        assert isinstance(identity, Pkcs11Identity)
        assert connect(broker, lambda: replace(identity, tls13=True)) != LET_IN


@pytest.mark.parametrize("seconds", [0.3, 2.0], ids=["ATECC608 or TPM", "very slow"])
def test_a_slow_element_trips_no_time_out(
    storage: DeviceStorage, plan: ElementPlan, tmp_path: Path, seconds: float, figures: Figures
) -> None:
    signatures: list[float] = []

    def slowly(sign: Function) -> Function:
        def replacement(session: int, data: int, size: int, where: int, room: object) -> int:
            if where:  # else it is only asked how long a signature is
                time.sleep(seconds)
                signatures.append(seconds)
            return sign(session, data, size, where, room)

        return replacement

    storage.keys.generate_key(FIRST_DEVICE_KEY, KeyType.EC_P256)
    with tls_broker(tmp_path) as broker, in_front_of(module_of(plan).path, "C_Sign", slowly):
        started = time.monotonic()
        assert shake_hands(storage, broker) == LET_IN
        elapsed = time.monotonic() - started
    figures(f"{seconds} s a signature: handshake and CONNECT in {elapsed:.2f} s")
    assert signatures == [seconds]
    assert elapsed >= seconds


def test_a_certificate_of_another_key_is_refused_before_connecting(
    storage: DeviceStorage, tmp_path: Path
) -> None:
    storage.keys.generate_key(FIRST_DEVICE_KEY, KeyType.EC_P256)
    with tls_broker(tmp_path) as broker:
        stranger = broker.certificate_for(new_key().public_key())
        with raises(KEY_MISMATCH):
            shake_hands(storage, broker, stranger)
        assert not broker.stop(), "nobody was spoken to"


class TwoSessions:
    """What an ATECC608 has room for, as its module is built; the device has one of them."""

    def __init__(self) -> None:
        self.free = 1

    def opening(self, open_session: Function) -> Function:
        def opened(*arguments: int) -> int:
            if not self.free:
                return int(ReturnValue.SESSION_COUNT)
            self.free -= 1
            return open_session(*arguments)

        return opened

    def closing(self, close_session: Function) -> Function:
        def closed(session: int) -> int:
            self.free += 1
            return close_session(session)

        return closed


def test_a_connection_that_is_over_holds_no_session_of_the_element(
    storage: DeviceStorage, plan: ElementPlan, tmp_path: Path
) -> None:
    """Else two sessions are too few, tpm2-pkcs11's 1024 some day, and the process may end badly.

    A thread that is at work in the library while that is being unloaded ends as a crash.
    """
    storage.keys.generate_key(FIRST_DEVICE_KEY, KeyType.EC_P256)
    element, path = TwoSessions(), module_of(plan).path
    with (
        tls_broker(tmp_path) as broker,
        in_front_of(path, "C_OpenSession", element.opening),
        in_front_of(path, "C_CloseSession", element.closing),
    ):
        pem = broker.certificate_for(storage.keys.export_public_key(FIRST_DEVICE_KEY))
        where = broker.endpoint, broker.ca_pem
        identity = partial(storage.keys.tls_identity, FIRST_DEVICE_KEY, pem)
        session = AwscrtSession(*where, lambda _: identity(), Connection())
        for _ in range(3):
            session.perform(act.Connect(ev.Credential.DEVICE, "SN-1"))
            assert session.next_event(20.0) == LET_IN
        session.close()
        assert element.free == 1


def test_an_element_that_fails_in_the_handshake_is_to_blame(
    storage: DeviceStorage, plan: ElementPlan, tmp_path: Path
) -> None:
    def failing(_: Function) -> Function:
        return lambda *_: int(ReturnValue.DEVICE_REMOVED)

    storage.keys.generate_key(FIRST_DEVICE_KEY, KeyType.EC_P256)
    with tls_broker(tmp_path) as broker:
        with in_front_of(module_of(plan).path, "C_Sign", failing):
            event = shake_hands(storage, broker)
        assert isinstance(event, ev.ConnectFailed)
        assert "secure element" in event.detail
        assert shake_hands(storage, broker) == LET_IN, "it came back"
