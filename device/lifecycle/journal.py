"""How far provisioning has come, and what came of it: one entry each in protected storage."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from device.provisioning.evidence import Evidence, with_given_up
from device.storage.decoding import decoded, stored
from device.storage.keys import KeyId
from device.storage.secure_storage import SecureStorage, Uid

if TYPE_CHECKING:
    from device.provisioning.events import Event
    from device.storage.device_storage import DeviceStorage


class Keyed(Struct, frozen=True, tag="keyed"):
    """The device key exists; the same CSR is sent however often it takes."""

    key: KeyId
    csr_pem: str


class Staged(Struct, frozen=True, tag="certificate-staged"):
    """A certificate is stored next to its ownership token; its thing is not known to exist."""

    key: KeyId
    csr_pem: str | None
    certificate_id: str
    ownership_token: str
    proof: str = ""
    evidence: Evidence = Evidence()
    """What speaks against the certificate; see `device.provisioning.evidence`."""

    def __repr__(self) -> str:
        """Leave the token out: anyone who holds it can register the certificate."""
        return f"Staged(key={self.key!r}, certificate_id={self.certificate_id!r})"


class Registered(Struct, frozen=True, tag="registered"):
    """The thing exists; the certificate is still to be proven."""

    key: KeyId
    certificate_id: str
    thing_name: str
    device_configuration: Mapping[str, str] | None
    """None when the reply that held it was lost."""
    csr_pem: str | None = None
    ownership_token: str = ""
    """Kept until the proof: should the cloud lose the certificate, it can say so in words."""
    proof: str = ""
    evidence: Evidence = Evidence()

    def __repr__(self) -> str:
        """Leave the token out."""
        return f"Registered(certificate_id={self.certificate_id!r}, thing={self.thing_name!r})"


Progress = Keyed | Staged | Registered


class Identity(Struct, frozen=True):
    """What the device is, once proven."""

    thing_name: str
    certificate_id: str
    key: KeyId
    key_uri: str
    key_type: str
    key_made_by: str
    """``device``, or ``aws`` when the private key came over the wire."""
    method: str
    not_before: float
    not_after: float
    promoted_at: float


_IDENTITY: Final = msgspec.msgpack.Decoder(Identity)
_PROGRESS: Final[msgspec.msgpack.Decoder[Progress]] = msgspec.msgpack.Decoder(Progress)
_GIVEN_UP: Final[msgspec.msgpack.Decoder[tuple[str, ...]]] = msgspec.msgpack.Decoder(
    tuple[str, ...]
)
_CONFIGURATION: Final[msgspec.json.Decoder[dict[str, str] | None]] = msgspec.json.Decoder(
    dict[str, str] | None
)


def load_identity(storage: SecureStorage) -> Identity | None:
    """Return the proven identity, or None when there is none yet.

    Raises:
        DataCorruptError: the entry is authentic, but of a form this firmware cannot read.
    """
    return stored(storage, Uid.IDENTITY, _IDENTITY.decode, "the identity")


def load(storage: SecureStorage) -> Progress | None:
    """Return the last durable step, or None when there was none.

    Raises:
        DataCorruptError: the entry is authentic, but of a form this firmware cannot read.
    """
    return stored(storage, Uid.PROVISIONING_JOURNAL, _PROGRESS.decode, "the provisioning journal")


def save(storage: SecureStorage, progress: Progress) -> None:
    """Replace the durable step by ``progress``."""
    storage.set(Uid.PROVISIONING_JOURNAL, msgspec.msgpack.encode(progress))


def load_given_up(storage: SecureStorage) -> tuple[str, ...]:
    """Return the ids of the certificates that this device gave up, the latest last.

    Raises:
        DataCorruptError: the entry is authentic, but of a form this firmware cannot read.
    """
    ids = stored(storage, Uid.GIVEN_UP, _GIVEN_UP.decode, "what was given up")
    return () if ids is None else ids


def note_given_up(storage: SecureStorage, certificate_id: str) -> None:
    """Remember ``certificate_id`` for the cloud, which may have to retire it."""
    ids = with_given_up(load_given_up(storage), certificate_id)
    storage.set(Uid.GIVEN_UP, msgspec.msgpack.encode(ids))


def load_to_retire(storage: SecureStorage) -> tuple[str, ...]:
    """Return the ids of the certificates that the cloud is still to retire, the oldest first.

    Raises:
        DataCorruptError: the entry is authentic, but of a form this firmware cannot read.
    """
    ids = stored(storage, Uid.TO_RETIRE, _GIVEN_UP.decode, "what is to be retired")
    return () if ids is None else ids


def note_to_retire(storage: SecureStorage, certificate_id: str) -> None:
    """Remember ``certificate_id`` until the cloud has retired it."""
    ids = with_given_up(load_to_retire(storage), certificate_id)
    storage.set(Uid.TO_RETIRE, msgspec.msgpack.encode(ids))


def note_retired(storage: SecureStorage, certificate_id: str) -> None:
    """Forget ``certificate_id``, since the cloud has retired it."""
    ids = tuple(each for each in load_to_retire(storage) if each != certificate_id)
    if ids:
        storage.set(Uid.TO_RETIRE, msgspec.msgpack.encode(ids))
    elif Uid.TO_RETIRE in storage.uids():
        storage.remove(Uid.TO_RETIRE)


def forget_progress(
    storage: "DeviceStorage",
    progress: Progress,
    note: Callable[[SecureStorage, str], None] = note_given_up,
) -> None:
    """Destroy the key of ``progress``; of its certificate, if it has one, ``note`` the id alone.

    Call it inside a transaction.
    """
    storage.keys.destroy_key(progress.key)
    if isinstance(progress, Staged | Registered):
        note(storage.ps, progress.certificate_id)
        storage.ps.remove(Uid.STAGED_CERTIFICATE)
    storage.ps.remove(Uid.PROVISIONING_JOURNAL)


def as_event(progress: Progress | None, given_up: tuple[str, ...] = ()) -> "Event":
    """Return what a machine is told when the power comes."""
    from device.provisioning import events as ev  # noqa: PLC0415 - 12 ms, and status never asks

    match progress:
        case Keyed():
            return ev.KeyFound(progress.csr_pem)
        case Staged() if progress.evidence.suffices:
            return ev.StagedCertificateDoubted(progress.certificate_id)
        case Registered() if progress.evidence.suffices:
            return ev.StagedCertificateDoubted(progress.certificate_id, progress.thing_name)
        case Staged(certificate_id=identifier, ownership_token=token, proof=proof):
            return ev.StagedCertificateFound(token, proof, identifier, given_up)
        case Registered(certificate_id=identifier, ownership_token=token, proof=proof):
            name = progress.thing_name
            return ev.RegistrationFound(name, identifier, token, proof, given_up)
    return ev.NothingStored()


def load_configuration(storage: SecureStorage) -> dict[str, str] | None:
    """Return the device configuration that AWS IoT sent, or None when its reply was lost.

    Raises:
        DoesNotExistError: the device has no identity yet.
        DataCorruptError: the entry is authentic, but of a form this firmware cannot read.
    """
    content = storage.get(Uid.DEVICE_CONFIGURATION)
    return decoded(content, _CONFIGURATION.decode, "the device configuration")
