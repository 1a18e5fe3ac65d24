"""TLS over real sockets: a client of Python's passes, and one whose checks are off fails."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

import pytest

from advisor.case import Case, Given, Verdict
from advisor.cases import tls
from advisor.certificates import Authority, Issued, Presented, client_context
from advisor.client import Ended, Place, Start
from advisor.run import run_case
from tests.advisor.virtual_client import Habits, connect
from tests.support.hang import SECONDS, join

GIVEN = Given(seconds=60.0)
HANDSHAKES = [case for case in (*tls.CASES, *tls.OURS) if case.id != tls.CASES[1].id]
Break = Callable[[ssl.SSLContext], None]


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def client(break_: Break = lambda _context: None, *, sni: bool = True, own: bool = True) -> Start:
    """Return a client that connects once, with what ``break_`` does to its TLS settings."""

    @contextmanager
    def start(place: Place, ended: Ended) -> Iterator[None]:
        issued = Issued(place.certificate.read_bytes(), place.key.read_bytes())
        context = client_context(place.ca.read_bytes(), issued if own else None)
        break_(context)

        def talk() -> None:
            with (
                suppress(OSError),
                socket.create_connection((place.host, place.port), SECONDS) as raw,
            ):
                name = place.host if sni else None
                with context.wrap_socket(raw, server_hostname=name) as stream:
                    stream.sendall(connect(Habits()))
                    stream.recv(100)

        thread = threading.Thread(target=talk, daemon=True)
        thread.start()
        yield
        join(thread)

    return start


def trusts_all(context: ssl.SSLContext) -> None:
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")


def wants_a_crl(context: ssl.SSLContext) -> None:
    """Ask for what no server of AWS IoT comes with."""
    context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF


def offers_other_suites(context: ssl.SSLContext) -> None:
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-RSA-CHACHA20-POLY1305:DHE-RSA-AES128-GCM-SHA256")


@contextmanager
def with_a_small_buffer(place: Place, _ended: Ended) -> Iterator[None]:
    """Hang up when the server sends more than a buffer of 4 KiB holds."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = client_context(place.ca.read_bytes(), None)
    hello = context.wrap_bio(incoming, outgoing, server_hostname=place.host)
    with suppress(ssl.SSLWantReadError):
        hello.do_handshake()
    with socket.create_connection((place.host, place.port), SECONDS) as raw:
        raw.sendall(outgoing.read())
        assert len(raw.recv(4096, socket.MSG_WAITALL)) == 4096
    yield


def named(case: Case) -> str:
    return case.id


BROKEN = {
    "TLS_Connect": client(wants_a_crl),
    "TLS_Support_AWS_IoT_Cipher_Suites": client(offers_other_suites),
    "TLS_Large_Size_Server_Cert": with_a_small_buffer,
    "T1": client(trusts_all, sni=False),
}
"""By case; whatever has to be refused is taken by a client that trusts all."""


@pytest.mark.parametrize("case", HANDSHAKES, ids=named)
def test_a_client_that_checks_passes(case: Case, authority: Authority) -> None:
    found = run_case(case, client(), GIVEN, authority).finding.verdict
    assert found in {Verdict.PASS, Verdict.WARNINGS}


@pytest.mark.parametrize("case", HANDSHAKES, ids=named)
def test_a_broken_client_fails(case: Case, authority: Authority) -> None:
    start = BROKEN.get(case.id, client(trusts_all))
    assert run_case(case, start, GIVEN, authority).finding.verdict is Verdict.FAIL


def test_a_client_without_a_certificate_is_warned(authority: Authority) -> None:
    found = run_case(tls.CASES[0], client(own=False), GIVEN, authority).finding
    assert found.verdict is Verdict.WARNINGS


def test_what_the_endpoint_refuses_is_no_refusal_of_the_client(authority: Authority) -> None:
    stranger = Authority("stranger").client("advisor")

    def start(place: Place, ended: Ended) -> AbstractContextManager[None]:
        place.certificate.write_bytes(stranger.chain_pem)
        place.key.write_bytes(stranger.key_pem)
        return client(trusts_all)(place, ended)

    unsecure = next(case for case in tls.CASES if case.presented is Presented.UNKNOWN_CA)
    assert run_case(unsecure, start, GIVEN, authority).finding.verdict is Verdict.FAIL
