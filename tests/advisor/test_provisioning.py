"""The cases of provisioning: a client that behaves passes each, and a broken one fails it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from advisor.broker import Broker, Close, Send
from advisor.case import Case, Finding, Given, Verdict
from advisor.cases.provisioning import CASES
from advisor.codec import Kind, Reader
from advisor.fleet_provisioning import CREATE, provision_topic
from advisor.journal import Journal
from advisor.run import at_the_end
from tests.advisor.virtual_client import THING, Habits, connect, publish, subscribe

TEMPLATE = "firstboot-claim"
GIVEN = Given(template=TEMPLATE)
PROVISION = provision_topic(TEMPLATE)
ATTEMPTS = 20
REPLIES = [f"{topic}/{end}" for topic in (CREATE, PROVISION) for end in ("accepted", "rejected")]


@dataclass(frozen=True)
class Manners:
    """How a client provisions itself; each default is good."""

    waits_for_suback: bool = True
    tries_again: bool = True
    keeps_certificate: bool = True
    hangs_up: bool = True
    checks_certificate: bool = True
    registers: bool = True


class BrokenOffError(Exception):
    """The endpoint closed the connection, or was silent."""


class Provisioner:
    """A client that provisions itself, on one connection after the other."""

    def __init__(self, case: Case, manners: Manners) -> None:
        self.journal = Journal()
        self._broker = Broker(case.script(GIVEN), self.journal)
        self._manners = manners
        self._link = 0
        self._open = False
        key = ec.generate_private_key(ec.SECP256R1())
        self._key = key.public_key()
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        self._csr = builder.sign(key, SHA256()).public_bytes(Encoding.PEM).decode()
        self._token: str | None = None
        self._may_have_thing = False

    def live(self) -> None:
        """Try until provisioned, or so often that it never will be."""
        for _ in range(ATTEMPTS):
            try:
                self._provision()
                self._be_the_thing()
            except (BrokenOffError, ValueError, TypeError, KeyError):
                if not self._manners.tries_again:
                    return
            else:
                return

    def _provision(self) -> None:
        if self._may_have_thing and self._manners.keeps_certificate:
            return
        if not self._manners.keeps_certificate:
            self._token = None
        self._dial("claim")
        said = self._send(subscribe(Habits(), 1, REPLIES))
        if self._manners.waits_for_suback and not any(p[0] >> 4 == Kind.SUBACK for p in said):
            raise BrokenOffError
        if self._token is None:
            request = {"certificateSigningRequest": self._csr}
            reply = self._ask(CREATE, request)
            self._check(str(reply["certificatePem"]))
            self._token = str(reply["certificateOwnershipToken"])
        if self._manners.registers:
            self._may_have_thing = True
            self._ask(PROVISION, {"certificateOwnershipToken": self._token})
        if self._manners.hangs_up:
            self._hang_up()

    def _check(self, pem: str) -> None:
        issued = x509.load_pem_x509_certificate(pem.encode())
        if self._manners.checks_certificate and issued.public_key() != self._key:
            raise ValueError("the certificate is for another key")

    def _be_the_thing(self) -> None:
        try:
            self._dial(THING)
            self._send(publish(Habits(), "dt/advisor", b"hello", 1))
        except BrokenOffError:
            self._may_have_thing = False
            raise

    def _dial(self, name: str) -> None:
        if self._open and self._manners.hangs_up:
            self._hang_up()
        self._link += 1
        self._broker.opened(self._link)
        self._open = True
        hello = connect(Habits()).replace(
            b"\0\7advisor", len(name).to_bytes(2, "big") + name.encode()
        )
        hello = hello[:1] + bytes([len(hello) - 2]) + hello[2:]
        if not any(packet[0] >> 4 == Kind.CONNACK for packet in self._send(hello)):
            raise BrokenOffError

    def _ask(self, topic: str, request: object) -> dict[str, object]:
        said = self._send(publish(Habits(), topic, json.dumps(request).encode(), 2))
        for packet in said:
            if packet[0] >> 4 == Kind.PUBLISH:
                header = Reader(packet[1:])
                header.length()
                body = Reader(header.rest())
                name = body.text()
                body.take(2)
                if name.endswith("/rejected"):
                    raise BrokenOffError
                return dict(json.loads(body.rest()))
        raise BrokenOffError

    def _send(self, data: bytes) -> Sequence[bytes]:
        orders = self._broker.received(self._link, data, 0.0)
        said = [order.data for order in orders if isinstance(order, Send) and order.data]
        if any(isinstance(order, Close) for order in orders):
            self._open = False
            raise BrokenOffError
        return said

    def _hang_up(self) -> None:
        self._open = False
        self._broker.closed(self._link, 0.0)


def verdict(case: Case, manners: Manners) -> Finding:
    client = Provisioner(case, manners)
    client.live()
    judge, entries = case.judge(GIVEN), client.journal.entries
    return judge(entries) or at_the_end(case, judge, entries, 300.0)


BROKEN = {
    "P1": Manners(registers=False),
    "P2": Manners(waits_for_suback=False),
    "P4": Manners(tries_again=False),
    "P8": Manners(hangs_up=False),
    "P16": Manners(keeps_certificate=False),
    "P17": Manners(tries_again=False),
    "P19": Manners(checks_certificate=False),
}


def named(case: Case) -> str:
    return case.id


@pytest.mark.parametrize("case", CASES, ids=named)
def test_a_client_that_behaves_passes(case: Case) -> None:
    assert verdict(case, Manners()).verdict is Verdict.PASS


@pytest.mark.parametrize("case", CASES, ids=named)
def test_a_broken_client_fails(case: Case) -> None:
    assert verdict(case, BROKEN[case.id]).verdict is Verdict.FAIL
