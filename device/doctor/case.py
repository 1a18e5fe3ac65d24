"""What the checks know of a device; each check adds what it learned."""

import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from device.config.device_plan import Plan
from device.config.endpoint import Endpoint
from device.config.settings import Settings
from device.connection.session import Session, SessionFactory
from device.doctor.finding import SkippedError
from device.errors import FirstbootError
from device.errors.provisioning import CLAIM_MISSING, NO_CREDENTIAL
from device.lifecycle import journal
from device.lifecycle.journal import Registered, Staged
from device.provisioning.events import Credential
from device.runtime.clock import Clock
from device.storage import installed_certificate
from device.storage.device_storage import DeviceStorage
from device.storage.filesystem import is_locked
from device.storage.keys import CLAIM_KEY, KeyId
from device.storage.secure_storage import Uid

if TYPE_CHECKING:
    from device.doctor.server import ServerSeen

T = TypeVar("T")
Resolve = Callable[[str, int], Sequence[tuple[Any, ...]]]
"""Returns the addresses of a host and a port, as `socket.getaddrinfo` does."""


@dataclass(frozen=True)
class Questions:
    """What a user asks about a device."""

    state: Path
    config: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    """``DEVICE_*`` variables."""
    flags: Mapping[str, str | None] = field(default_factory=dict)
    """Settings that the command line overrides."""
    subscribe: tuple[str, ...] = ()
    """Topic filters to try besides those that the method needs."""
    publish: str | None = None
    """A topic to publish on instead of the telemetry topic."""
    offline: bool = False
    """Whether to leave out all that needs the network."""


@dataclass(frozen=True)
class Limits:
    """How long the checks may take, in seconds."""

    check: float = 30.0
    """One check; whatever takes longer is reported as not finished."""
    answer: float = 10.0
    """An answer to a packet."""
    twin: float = 3.0
    """How long the connection is held to see whether another client takes the client id."""


@dataclass(frozen=True)
class Held:
    """The credential that the device would connect with now."""

    credential: Credential
    key: KeyId
    chain_pem: bytes
    thing_name: str | None = None
    """The name that AWS IoT gave, where it is known."""


@dataclass
class Case:
    """One examination."""

    questions: Questions
    clock: Clock
    open_session: SessionFactory
    limits: Limits = Limits()
    resolve: Resolve = socket.getaddrinfo
    storage: DeviceStorage | None = None
    refusal: Exception | None = None
    """Why the storage did not open."""
    held: Held | None = None
    settings: Settings | None = None
    plan: Plan | None = None
    endpoint: Endpoint | None = None
    root_ca_pem: bytes | None = None
    is_reachable: bool = False
    server: "ServerSeen | None" = None
    session: Session | None = None
    """Connected."""
    first_error: FirstbootError | None = None
    """Of the first check that failed: what stops the device."""

    @property
    def is_running(self) -> bool:
        """Whether another process has the device open for writing."""
        return is_locked(self.questions.state / "storage")

    def close(self) -> None:
        """Close what the checks opened."""
        if self.session is not None:
            self.session.close()
        if self.storage is not None:
            self.storage.close()


def needed(fact: T | None, check: str) -> T:
    """Return ``fact``.

    Raises:
        SkippedError: ``check``, which finds it out, did not succeed.
    """
    if fact is None:
        raise SkippedError(f"needs {check}")
    return fact


def held_by(storage: DeviceStorage) -> Held:
    """Return the credential that a boot would use.

    Raises:
        NoCredentialError, ClaimMissingError: there is none.
        DataCorruptError: an entry is of a form this firmware cannot read.
    """
    identity, progress = journal.load_identity(storage.ps), journal.load(storage.ps)
    if identity is not None:
        pem = storage.ps.get(Uid.DEVICE_CERTIFICATE)
        return Held(Credential.DEVICE, identity.key, pem, identity.thing_name)
    if isinstance(progress, Staged | Registered):
        name = progress.thing_name if isinstance(progress, Registered) else None
        pem = storage.ps.get(Uid.STAGED_CERTIFICATE)
        return Held(Credential.STAGED, progress.key, pem, name)
    if (installed := installed_certificate.load(storage.ps)) is not None:
        return Held(Credential.INSTALLED, installed.key, installed.chain_pem)
    if Uid.CLAIM_CERTIFICATE in storage.ps.uids():
        return Held(Credential.CLAIM, CLAIM_KEY, storage.ps.get(Uid.CLAIM_CERTIFICATE))
    raise (NO_CREDENTIAL if progress is None else CLAIM_MISSING).error()
