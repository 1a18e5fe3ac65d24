"""The device's own connection, awscrt's, refuses each fault of a server's certificate and chain."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from advisor.case import Given
from advisor.cases import tls
from advisor.certificates import Authority, Presented, server_context
from advisor.endpoint import Endpoint as Server
from advisor.journal import Entry, Journal, What
from advisor.script import Script
from advisor.suites import POLICIES, SUPPORTED, TLS_12, TLS_13, policies_for
from device.config.endpoint import Endpoint
from device.config.settings import Connection
from device.connection.awscrt_session import AwscrtSession
from device.provisioning.actions import Connect
from device.provisioning.events import Connected, ConnectFailed, Credential, Event
from device.storage.keys import MemoryIdentity
from tests.support.hang import SECONDS

WRONG = [case.presented for case in (*tls.CASES, *tls.OURS) if case.judge(Given()) is tls.refuses]
TAKEN = {Presented.WEAK_KEY}
"""awscrt has no lower bound for the key of a certificate that a trusted CA issued."""


class Meeting:
    """One device's session, and one server that presents one certificate."""

    def __init__(self, authority: Authority, presented: Presented, stack: ExitStack) -> None:
        context = server_context(authority.server(presented, "localhost"), authority.root_pem)
        self.journal = Journal()
        server = Server(Script(), context, self.journal, time.monotonic)
        stack.enter_context(server)
        own = authority.client("SN-1")
        identity = MemoryIdentity(own.chain_pem, own.key_pem)
        endpoint = Endpoint("localhost", server.port)
        self._session = AwscrtSession(
            endpoint, authority.root_pem, lambda _credential: identity, Connection()
        )
        stack.callback(self._session.close)
        self._session.perform(Connect(Credential.DEVICE, "SN-1"))

    def event(self) -> Event | None:
        return self._session.next_event(SECONDS)

    def end(self) -> Entry:
        """Return how the first handshake ended, which is awscrt's."""
        self._session.close()
        ends = {What.TLS_COMPLETE, What.TLS_FAILED}
        found = self.journal.wait_for(
            lambda entries: next((e for e in entries if e.link == 1 and e.what in ends), None),
            SECONDS,
        )
        assert found is not None
        return found


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def test_each_fault_of_the_servers_certificate_is_refused(authority: Authority) -> None:
    with ExitStack() as stack:
        met = {each: Meeting(authority, each, stack) for each in WRONG if each not in TAKEN}
        with ThreadPoolExecutor(len(met)) as pool:  # each takes two seconds to become suspicious
            events = dict(zip(met, pool.map(Meeting.event, met.values()), strict=True))
        ends = {presented: meeting.end().what for presented, meeting in met.items()}
    assert len(met) == 13
    assert {type(event) for event in events.values()} == {ConnectFailed}
    assert set(ends.values()) == {What.TLS_FAILED}


def test_a_good_certificate_is_taken(authority: Authority) -> None:
    with ExitStack() as stack:
        meeting = Meeting(authority, Presented.GOOD, stack)
        assert meeting.event() == Connected(Credential.DEVICE)


def test_the_client_hello_is_for_aws_iot_core(authority: Authority) -> None:
    with ExitStack() as stack:
        meeting = Meeting(authority, Presented.GOOD, stack)
        meeting.event()
        hello = next(e.hello for e in meeting.journal.entries if e.hello is not None)
    assert set(hello.suites) <= SUPPORTED.keys()
    assert hello.versions == (TLS_13, TLS_12)
    assert policies_for(hello) == list(POLICIES)
    assert hello.server_name == "localhost"
