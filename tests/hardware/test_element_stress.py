"""One process, one module, two users: threads sign here while awscrt shakes hands, and no error.

In a process of its own, since what is wrong here ends as a crash (docs/adr/0010). It takes some
seconds; ``scripts/test --long tests/hardware/test_element_stress.py`` shakes hands thousands of
times.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from device.config.settings import Connection
from device.connection.awscrt_session import AwscrtSession
from device.provisioning import actions as act
from device.provisioning import events as ev
from device.storage.device_storage import open_device_storage
from device.storage.element.installation import InstalledElement, attach_element, plan_of
from device.storage.keys import FIRST_DEVICE_KEY, KeyType, TlsIdentity
from tests.hardware.conftest import Figures
from tests.support import hang
from tests.support.effort import is_long
from tests.support.elements import ElementBench
from tests.support.own_process import in_own_process
from tests.support.sealed_device import make_device
from tests.support.tls_broker import tls_broker

ROUNDS = {"softhsm": 30, "tpm": 15}
TIMES = 20 if is_long() else 1
"""How many times as long to go on."""

SESSIONS = 4
"""Connections at the same time; awscrt signs for them in threads of its own."""

THREADS = 3
"""Threads that sign here."""

LET_IN = ev.Connected(ev.Credential.DEVICE)
ALGORITHM = ec.ECDSA(hashes.SHA256())


class Signers:
    """Threads that sign until they are told to stop, and verify what they got."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._sign, daemon=True) for _ in range(THREADS)]
        self._counts: list[int] = []
        self.failures: list[str] = []

    @property
    def signatures(self) -> int:
        """How many were made; known when the threads have ended."""
        return sum(self._counts)

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        hang.join(*self._threads)

    def _sign(self) -> None:
        count = 0
        while not self._stop.is_set():
            data = os.urandom(32)
            try:
                signature = self._key.sign(data, ALGORITHM)
                self._key.public_key().verify(signature, data, ALGORITHM)
                count += 1
            except Exception as error:  # noqa: BLE001 - whatever it is, it is counted
                self.failures.append(repr(error))
        self._counts.append(count)


@contextmanager
def signing(key: ec.EllipticCurvePrivateKey) -> Iterator[Signers]:
    signers = Signers(key)
    signers.start()
    try:
        yield signers
    finally:
        signers.stop()


def handshakes(sessions: list[AwscrtSession], rounds: int) -> list[str]:
    """Connect all sessions at once, so often; return what went wrong."""
    failures = []
    for _ in range(rounds):
        for session in sessions:
            session.perform(act.Connect(ev.Credential.DEVICE, "SN-1"))
        events = [session.next_event(30.0) for session in sessions]
        failures += [repr(event) for event in events if event != LET_IN]
    return failures


def stress(uri: str, folder: str, rounds: int) -> dict[str, object]:
    """Shake hands so often while threads sign; return what was counted."""
    with (
        tls_broker(Path(folder)) as broker,
        open_device_storage(make_device(Path(folder) / "device")) as storage,
        ExitStack() as stack,
    ):
        attach_element(storage, plan_of(InstalledElement(uri)))
        storage.keys.generate_key(FIRST_DEVICE_KEY, KeyType.EC_P256)
        key = storage.keys.private_key(FIRST_DEVICE_KEY)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        certificate = broker.certificate_for(key.public_key())

        def identity(_: ev.Credential) -> TlsIdentity:
            return storage.keys.tls_identity(FIRST_DEVICE_KEY, certificate)

        where = broker.endpoint, broker.ca_pem
        sessions = [AwscrtSession(*where, identity, Connection()) for _ in range(SESSIONS)]
        for session in sessions:
            stack.callback(session.close)
        with signing(key) as signers:
            started = time.monotonic()
            failures = handshakes(sessions, rounds)
            seconds = time.monotonic() - started
        return {
            "handshakes": sum(broker.stop().values()),
            "signatures": signers.signatures,
            "failures": failures + signers.failures,
            "seconds": seconds,
        }


def test_threads_sign_while_awscrt_shakes_hands(
    bench: ElementBench, label: str, tmp_path: Path, figures: Figures
) -> None:
    rounds = ROUNDS[bench.kind] * TIMES
    uri = bench.new_token(label).uri

    counted = in_own_process(stress, uri, str(tmp_path), rounds, seconds=120.0 * TIMES)

    figures(
        "{handshakes} handshakes and {signatures} signatures by {} threads in {seconds:.1f} s, "
        "errors: {}".format(THREADS, len(counted["failures"]), **counted)
    )
    assert counted["failures"] == []
    assert counted["handshakes"] == rounds * SESSIONS
    assert counted["signatures"] > counted["handshakes"]
