"""Where a scenario takes place: an AWS in memory here, the local AWS over TLS in ``wire_world``.

A scenario makes a device, switches faults on, lets the device boot and looks at the
registry; it does not know which world it is in.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

from msgspec.structs import replace

from device.agent import Agent
from device.config.device_plan import plan_for
from device.config.endpoint import Endpoint
from device.config.settings import Connection, Settings
from device.connection.session import Session
from device.errors import FirstbootError
from device.lifecycle.journal import Identity
from device.provisioning.events import Credential, Event
from device.runtime.clock import Clock
from device.runtime.credentials import BorrowedClaim, ClaimSource
from device.runtime.loop import Patience
from device.storage import installed_certificate
from device.storage.device_storage import create_device_storage, open_device_storage
from device.storage.filesystem import Fs
from device.storage.keys import CLAIM_KEY, FIRST_DEVICE_KEY, KeyType, MemoryIdentity, TlsIdentity
from device.storage.lifecycle import Lifecycle
from device.storage.secure_storage import StorageFlag, Uid
from tests.support.clock import FakeClock
from tests.support.memory_disk import MemoryDisk
from tests.support.power import PowerSupply
from tests.support.simulated_cloud import SimulatedCloud, SimulatedSession

TEMPORARY_CLAIM_SECONDS = 300.0
PATIENCE = Patience(unreachable=600.0, refused=60.0, activation=90.0)
REFUSED_AT_ONCE = replace(PATIENCE, refused=0.0)
"""For a certificate that is known to be dead: a device believes the first refusal."""


@dataclass(frozen=True)
class Registry:
    """What the cloud has for one serial number."""

    things: list[str]
    active_certificates: list[str]


@dataclass
class Diary:
    """An observer that remembers."""

    events: list[Event] = field(default_factory=list)
    waits: list[tuple[FirstbootError, float]] = field(default_factory=list)
    steps: list[tuple[str, str]] = field(default_factory=list)
    slow_steps: list[tuple[str, float]] = field(default_factory=list)

    def add(self, name: str, detail: str = "") -> None:
        self.steps.append((name, detail))

    def received(self, event: Event, state: Enum) -> None:
        self.events.append(event)

    def waiting(self, cause: FirstbootError, seconds: float) -> None:
        self.waits.append((cause, seconds))

    def slow(self, what: str, seconds: float) -> None:
        self.slow_steps.append((what, seconds))

    def types(self) -> list[str]:
        return [type(event).__name__ for event in self.events]


class World(Protocol):
    """A cloud, and devices that can be made for it."""

    @property
    def clock(self) -> Clock: ...

    @property
    def settings(self) -> Settings: ...

    def open_session(
        self,
        endpoint: Endpoint,
        root_ca_pem: bytes,
        tls_identity: Callable[[Credential], TlsIdentity],
        options: Connection,
    ) -> Session: ...

    def make_device(self, state: Path, serial: str) -> Path:
        """Do the station's work; return where the device is."""
        ...

    def claims(self, state: Path) -> ClaimSource | None:
        """Return who hands the device a claim; None if it holds what it needs."""
        ...

    def mount(self, folder: Path) -> Fs:
        """Return the disk that devices of this world have."""
        ...

    def fault(self, kind: str, **fields: Any) -> None: ...

    def expire_tokens(self) -> None:
        """Let an hour pass for the cloud and the device."""
        ...

    def registry(self, serial: str) -> Registry: ...


class MemoryWorld:
    """AWS IoT Core in memory; an hour takes no time."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.cloud = SimulatedCloud(self.clock)
        self.settings = Settings(method="claim")
        self.sessions: list[SimulatedSession] = []
        self.user_is_there = True
        """Whether a trusted user hands a claim over."""
        self.mount = MemoryDisk().mount

    def open_session(
        self,
        endpoint: Endpoint,
        root_ca_pem: bytes,
        tls_identity: Callable[[Credential], TlsIdentity],
        options: Connection,
    ) -> Session:
        session = SimulatedSession(self.cloud, tls_identity, root_ca_pem)
        self.sessions.append(session)
        return session

    def make_device(self, state: Path, serial: str) -> Path:
        write_once = StorageFlag.WRITE_ONCE
        with create_device_storage(state, mount=self.mount) as storage:
            storage.advance(Lifecycle.PSA_ROT_PROVISIONING)
            with storage.transaction():
                storage.its.set(Uid.SERIAL_NUMBER, serial.encode(), write_once)
                storage.its.set(Uid.DEVICE_ID, b"00" * 16, write_once)
                storage.ps.set(Uid.ENDPOINT, b"simulated:8883")
                storage.ps.set(Uid.ROOT_CA, b"nobody looks at it here")
                if self.settings.method != "trusted-user":
                    storage.ps.set(Uid.CLAIM_CERTIFICATE, self.cloud.claim_pem.encode())
                    storage.keys.import_key(CLAIM_KEY, self.cloud.claim_key_pem.encode())
            storage.advance(Lifecycle.SECURED)
        return state

    def make_device_with_leaf(self, state: Path, serial: str) -> str:
        """Make a device that holds a key of its own and a leaf; return the leaf as PEM."""
        write_once = StorageFlag.WRITE_ONCE
        with create_device_storage(state, mount=self.mount) as storage:
            storage.advance(Lifecycle.PSA_ROT_PROVISIONING)
            with storage.transaction():
                storage.its.set(Uid.SERIAL_NUMBER, serial.encode(), write_once)
                storage.its.set(Uid.DEVICE_ID, b"00" * 16, write_once)
                storage.ps.set(Uid.ENDPOINT, b"simulated:8883")
                storage.ps.set(Uid.ROOT_CA, b"nobody looks at it here")
                storage.keys.generate_key(FIRST_DEVICE_KEY, KeyType.EC_P256)
                key = storage.keys.export_public_key(FIRST_DEVICE_KEY)
                leaf = self.cloud.issue_leaf(key, serial)
                installed_certificate.save(storage.ps, FIRST_DEVICE_KEY, leaf.encode())
            storage.advance(Lifecycle.SECURED)
        return leaf

    def claims(self, state: Path) -> ClaimSource | None:
        if self.settings.method != "trusted-user" or not self.user_is_there:
            return None
        pair = MemoryIdentity(self.cloud.claim_pem.encode(), self.cloud.claim_key_pem.encode())
        return BorrowedClaim(pair, self.clock.wall() + TEMPORARY_CLAIM_SECONDS, self.clock)

    def fault(self, kind: str, **fields: Any) -> None:
        if "client_id" in fields:
            fields["operation"] = fields.pop("client_id")
        self.cloud.fault(kind, **fields)

    def expire_tokens(self) -> None:
        self.cloud.age_tokens(3601.0)

    def registry(self, serial: str) -> Registry:
        things = [name for name in self.cloud.things if name == serial]
        return Registry(things, self.cloud.active_certificates(serial))


@contextmanager
def switched_on(
    world: World,
    state: Path,
    supply: PowerSupply | None = None,
    diary: Diary | None = None,
    dice: random.Random | None = None,
) -> Iterator[Agent]:
    """Have the device in ``state`` on, as long as its ``supply`` gives power."""
    supply = supply or PowerSupply()

    def mount(folder: Path) -> Fs:
        return supply.mount(world.mount(folder))

    with open_device_storage(state, mount=mount) as storage:
        agent = Agent(
            storage,
            world.settings,
            plan_for(storage, world.settings, "test"),
            open_session=lambda *what: supply.session(world.open_session(*what)),
            clock=world.clock,
            dice=dice,
            observer=diary or Diary(),
            claims=world.claims(state),
        )
        try:
            yield agent
        finally:
            agent.session.close()


def boot(
    world: World,
    state: Path,
    *,
    supply: PowerSupply | None = None,
    diary: Diary | None = None,
    patience: Patience = PATIENCE,
) -> Identity:
    """Power a device on until it is proven; return its identity.

    Raises:
        PowerCutError: the supply failed at the moment it was told to.
        FirstbootError: the device stopped.
    """
    with switched_on(world, state, supply, diary) as agent:
        agent.boot(patience)
        identity = agent.identity
        assert identity is not None
        return identity


def boot_home(world: World, state: Path, *, boots: int = 4, diary: Diary | None = None) -> Identity:
    """Boot until the device is proven, ``boots`` times at most; a person boots again, too."""
    for _ in range(boots - 1):
        with suppress(FirstbootError):
            return boot(world, state, diary=diary)
    return boot(world, state, diary=diary)
