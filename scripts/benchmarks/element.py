"""What a key in a secure element costs: a CSR and a connection, against a key in software.

The devices are made by ``factory single``, so that AWS knows them; in this process, since
tpm2-pkcs11 shows a process no key that another one made after it looked. Each figure is the time
from a call to its result: a CSR signed, a connection let in (CONNACK).
"""

import io
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Final

import factory.cli
from device.config.endpoint import Endpoint
from device.config.settings import Connection
from device.connection.awscrt_session import AwscrtSession
from device.errors.element import ElementError
from device.identity.csr import build_csr, subject_name
from device.provisioning.actions import Connect
from device.provisioning.events import Connected, Credential
from device.storage import installed_certificate
from device.storage.device_storage import open_device_storage
from device.storage.element.installation import attach_element, installed_element, plan_of
from device.storage.keys import FIRST_DEVICE_KEY, Pkcs11Identity, TlsIdentity
from device.storage.secure_storage import Uid
from scripts import _soft_elements
from scripts._soft_elements import variables
from scripts.benchmarks.comparison import Figures, Quantity, Row, alternate, compare
from scripts.benchmarks.processes import BenchError
from scripts.benchmarks.quick_acks import quick_acks
from scripts.benchmarks.workbench import Workbench, open_workbench

QUANTITIES: Final = (
    Quantity("csr", "CSR", "ms"),
    Quantity("connection", "connection", "ms"),
    Quantity("quick", "TLS 1.3, ACKs at once", "ms"),
)
_ELEMENTS: Final = {"SoftHSM": _soft_elements.softhsm, "swtpm": _soft_elements.tpm}
_METHOD: Final = "single-thing"
_PATIENCE_SECONDS: Final = 30.0


def element(rounds: int) -> Mapping[str, list[Row]]:
    """Measure a key in software, in SoftHSM and in swtpm in each round; return the rows.

    Raises:
        BenchError: an element is not installed, or a device was not let in.
    """
    with ExitStack() as stack:
        tokens = _tokens(stack)
        bench = stack.enter_context(open_workbench())
        bench.prepare(_METHOD)
        host, _, port = bench.cloud["DEVICE_ENDPOINT"].rpartition(":")
        relay = stack.enter_context(quick_acks(host, int(port)))
        sealed = _Device(bench, "sealed", relay, stack)
        devices = [_Device(bench, name, relay, stack, uri) for name, uri in tokens.items()]
        sides = [each.figures for each in (sealed, *devices)]
        yardstick, *found = alternate(sides, rounds)
    return {
        name: compare(QUANTITIES, runs, yardstick) for name, runs in zip(tokens, found, strict=True)
    }


def _tokens(stack: ExitStack) -> Mapping[str, str]:
    """Run the elements; return the URI of a token in each."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="firstboot-bench-")))
    uris = {}
    for name, run in _ELEMENTS.items():
        place = folder / name
        place.mkdir()
        try:
            uris[name] = stack.enter_context(run(place)).new_token(f"bench-{name}").uri
        except ElementError as error:
            raise BenchError(f"{error}\nnext: python3 -m scripts._elements installs it") from error
    return uris


class _Device:
    """A registered device that stays open between the rounds."""

    def __init__(
        self, bench: Workbench, name: str, relay: int, stack: ExitStack, element: str = ""
    ) -> None:
        state = bench.folder / "devices" / name
        words = ("single", "--serial", name, "--out", str(state), *bench.station)
        with variables(bench.cloud), redirect_stdout(io.StringIO()):
            exit_code = factory.cli.main([*words, "--element", element, "--json"])
        if exit_code:
            raise BenchError(f"{name} was not made")
        self._name, self._relay = name, relay
        self._storage = stack.enter_context(open_device_storage(state))
        if (installed := installed_element(self._storage)) is not None:
            attach_element(self._storage, plan_of(installed))

    def figures(self, _: int) -> Figures:
        """Sign a CSR, and connect as a device does, and where nothing but its work counts."""
        there = Endpoint.parse(self._storage.ps.get(Uid.ENDPOINT).decode(), "its storage")
        return {
            "csr": self._csr(),
            "connection": self._connection(there, tls13=False),
            "quick": self._connection(replace(there, port=self._relay), tls13=True),
        }

    def _csr(self) -> float:
        key = self._storage.keys.private_key(FIRST_DEVICE_KEY)
        subject = subject_name({"common_name": self._name})
        started = time.perf_counter()
        build_csr(key, subject)
        return _milliseconds_since(started)

    def _connection(self, endpoint: Endpoint, *, tls13: bool) -> float:
        ps = self._storage.ps
        installed = installed_certificate.load(ps)
        if installed is None:
            raise RuntimeError("this device was made without a certificate")

        def identity(_: Credential) -> TlsIdentity:
            found = self._storage.keys.tls_identity(installed.key, installed.chain_pem)
            return replace(found, tls13=tls13) if isinstance(found, Pkcs11Identity) else found

        session = AwscrtSession(endpoint, ps.get(Uid.ROOT_CA), identity, Connection())
        try:
            started = time.perf_counter()
            session.perform(Connect(Credential.DEVICE, self._name))
            event = session.next_event(_PATIENCE_SECONDS)
            elapsed = _milliseconds_since(started)
        finally:
            session.close()
        if not isinstance(event, Connected):
            raise BenchError(f"{self._name} was not let in: {event}")
        return elapsed


def _milliseconds_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
