"""How far provisioning has come, and what came of it: one entry each in protected storage."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from device.storage.decoding import decoded, stored
from device.storage.secure_storage import SecureStorage, Uid

if TYPE_CHECKING:
    from device.provisioning.events import Event

OWNERSHIP_TOKEN_SECONDS: Final = 3600.0
"""AWS deletes a certificate whose token was not redeemed in this time.

Source: AWS IoT Core Developer Guide, "Device provisioning MQTT API".
"""
_TOKEN_MARGIN_SECONDS: Final = 60.0


class Keyed(Struct, frozen=True, tag="keyed"):
    """The device key exists; the same CSR is sent however often it takes."""

    key: str
    csr_pem: str


class Staged(Struct, frozen=True, tag="certificate-staged"):
    """A certificate is stored next to its ownership token, and used by no one yet."""

    key: str
    csr_pem: str | None
    certificate_id: str
    ownership_token: str
    issued_at: float | None
    """Seconds since the epoch, or None when the clock was not set."""
    proof: str = ""

    def __repr__(self) -> str:
        """Leave the token out: whoever holds it can register the certificate."""
        return f"Staged(key={self.key!r}, certificate_id={self.certificate_id!r})"

    def token_has_expired(self, now: float | None) -> bool:
        """Whether AWS no longer takes the token; a clock that was not set cannot tell."""
        if now is None or self.issued_at is None:
            return False
        return now - self.issued_at > OWNERSHIP_TOKEN_SECONDS - _TOKEN_MARGIN_SECONDS


class Registered(Struct, frozen=True, tag="registered"):
    """The thing exists; the certificate is still to be proven."""

    key: str
    certificate_id: str
    thing_name: str
    device_configuration: Mapping[str, str] | None
    """None when the reply that held it was lost."""


Progress = Keyed | Staged | Registered


class Identity(Struct, frozen=True):
    """What the device is, once proven."""

    thing_name: str
    certificate_id: str
    key: str
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


def as_event(progress: Progress | None, now: float | None) -> "Event":
    """Return what a machine is told when the power comes, at wall time ``now``."""
    from device.provisioning import events as ev  # noqa: PLC0415 - 12 ms, and status never asks

    match progress:
        case Keyed():
            return ev.KeyFound(progress.csr_pem)
        case Staged() if progress.token_has_expired(now):
            return ev.ExpiredTokenFound(progress.csr_pem)
        case Staged():
            return ev.StagedCertificateFound(progress.ownership_token, progress.proof)
        case Registered():
            return ev.RegistrationFound(progress.thing_name, progress.certificate_id)
    return ev.NothingStored()


def load_configuration(storage: SecureStorage) -> dict[str, str] | None:
    """Return the device configuration that AWS IoT sent, or None when its reply was lost.

    Raises:
        DoesNotExistError: the device has no identity yet.
        DataCorruptError: the entry is authentic, but of a form this firmware cannot read.
    """
    content = storage.get(Uid.DEVICE_CONFIGURATION)
    return decoded(content, _CONFIGURATION.decode, "the device configuration")
