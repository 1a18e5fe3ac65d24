"""A bench for planted causes: a device in memory of this process, a server on loopback."""

import socket
import ssl
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import trustme

from device.connection.awscrt_session import AwscrtSession
from device.doctor.case import Case, Limits, Questions, Resolve, held_by
from device.doctor.examination import examine
from device.doctor.finding import Finding, Result
from device.runtime.clock import Clock
from device.storage.device_storage import open_device_storage
from tests.support.certificates import NOW
from tests.support.clock import FakeClock
from tests.support.devices import advance_to, make_device
from tests.support.scripted_server import Peer, Script, ScriptedServer, proxy_to, tls

CA: Final = trustme.CA()
QUICK: Final = Limits(check=30.0, answer=1.5, twin=0.2)
CONFIG: Final = Path(__file__).parents[2] / "config"
NO_CHECK_TIME: Final = ssl.VerifyFlags(0x200000)
"""X509_V_FLAG_NO_CHECK_TIME (OpenSSL, x509_vfy.h): the clock of these tests is not the real one."""
LATER: Final = NOW.timestamp() + 3_600.0


@dataclass(frozen=True)
class Patient:
    """A device to examine, and what its user asks."""

    state: Path
    method: str = "claim"
    flags: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    config: Path | None = None
    subscribe: tuple[str, ...] = ()
    clock: Clock = field(default_factory=lambda: FakeClock(LATER))
    resolve: Resolve = socket.getaddrinfo
    offline: bool = False

    def examined(self) -> list[Finding]:
        """Run doctor; return every finding."""
        asked = Questions(
            state=self.state,
            config=self.config or CONFIG / f"{self.method}.yaml",
            environment=self.variables,
            flags={"method": self.method, **self.flags} if self.config is None else self.flags,
            subscribe=self.subscribe,
            offline=self.offline,
        )
        return list(examine(Case(asked, self.clock, AwscrtSession, QUICK, self.resolve)))


class Bench(ExitStack):
    """Where a cause is planted."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder: Final = folder
        self._contexts: list[ssl.SSLContext] = []

    def __enter__(self) -> Self:
        return self

    def server(self, script: Script, context: ssl.SSLContext | None = None) -> str:
        """Run a server; return its address."""
        context = context or tls(CA)
        self._contexts.append(context)
        server = ScriptedServer(forgiving(script), context)
        return str(self.enter_context(server).endpoint)

    def proxy(self, answer: bytes, then: Script) -> str:
        """Run a proxy that gives ``answer`` and then is the server; return its address."""
        context = tls(CA)
        self._contexts.append(context)
        script = proxy_to(context, answer, forgiving(then))

        def play(peer: Peer) -> None:
            with suppress(AssertionError):  # a client that only looked who listens
                script(peer)

        return self.plain_server(play)

    def plain_server(self, script: Script) -> str:
        """Run a server without TLS; return its address."""
        return str(self.enter_context(ScriptedServer(forgiving(script))).endpoint)

    def device(self, endpoint: str | None = "localhost:1", step: str = "proven") -> Path:
        """Make a device that trusts `CA`, and bring it to a step."""
        state = make_device(self.folder / "device", endpoint=endpoint, root_ca=CA.cert_pem.bytes())
        with open_device_storage(state) as storage:
            advance_to(storage, step)
        return self.trusted(state)

    def trusted(self, state: Path) -> Path:
        """Have every server of this bench take the certificate of the device in ``state``."""
        with open_device_storage(state, read_only=True) as storage:
            pem = held_by(storage).chain_pem.decode()
        for context in self._contexts:
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | NO_CHECK_TIME
            context.load_verify_locations(cadata=pem)
        return state


def forgiving(script: Script) -> Script:
    """Return ``script``, for clients that leave in the middle of it, as those do who only look."""

    def play(peer: Peer) -> None:
        with suppress(OSError, IndexError):
            script(peer)

    return play


def bad(findings: list[Finding]) -> list[Finding]:
    """Return what is wrong, the failures first."""
    failures = [each for each in findings if each.result is Result.FAILED]
    return failures + [each for each in findings if each.result is Result.WARNING]


def line_of(finding: Finding) -> str:
    """Return what stands in the table of docs/diagnose.md."""
    return f"{finding.check}: {finding.cause} [{finding.code}]"


@dataclass(frozen=True)
class Cause:
    """What is planted, and how doctor has to name it."""

    name: str
    """As people report it."""
    check: str
    code: str
    words: str
    """Stand in the finding's evidence or cause."""
    plant: Callable[[Bench], Patient]
