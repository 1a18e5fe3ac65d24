"""What the storage stands on: a key that never leaves, an anchor that only grows, a lifecycle.

Each root of trust is a page of its own (`FileFuses`, `SystemdCredential`, `TpmRoot`,
`Pkcs11Root`, `RaspberryPiOtp`); ``plan.py`` says which one a device has.
"""

from enum import StrEnum
from typing import Final, Protocol

from msgspec import Struct

from device.storage.entries import StorageFlag
from device.storage.lifecycle import Lifecycle


class Anchor(Struct, frozen=True):
    """The one image that counts: its generation, and the SHA-256 of its bytes."""

    generation: int
    digest: bytes


BLANK: Final = Anchor(0, bytes(32))
"""The anchor before the first commit."""


class Threat(StrEnum):
    """What may be done to the storage of a device (docs/roots-of-trust.md says how)."""

    STOLEN_STORAGE = "stolen storage"
    MOVED_STORAGE = "moved storage"
    OLD_IMAGES = "old images"
    STOLEN_STATE = "stolen state folder"
    CLONED_DISK = "cloned disk"
    OLD_DISK = "old disk"
    ROOT_USER = "root user"


class Strength(Struct, frozen=True):
    """What a root of trust is good for."""

    protects_against: tuple[Threat, ...]
    note: str
    """What that depends on, and on what it was never tried."""

    @property
    def no_protection_against(self) -> tuple[Threat, ...]:
        """Every other threat."""
        return tuple(threat for threat in Threat if threat not in self.protects_against)


SEALED: Final = (Threat.STOLEN_STORAGE, Threat.MOVED_STORAGE, Threat.OLD_IMAGES)
"""What any root of trust protects against, since the images are sealed and anchored."""


class RootOfTrust(Protocol):
    """What a store asks of the hardware beneath it."""

    @property
    def kind(self) -> str:
        """Its name: ``file``, ``tpm``, ..."""
        ...

    @property
    def protection(self) -> StorageFlag:
        """What this root cannot give, as ``get_info`` reports it."""
        ...

    @property
    def strength(self) -> Strength:
        """What it protects against, and what not."""
        ...

    @property
    def lifecycle(self) -> Lifecycle:
        """The state now; UNKNOWN where nothing was burned."""
        ...

    def burn(self) -> None:
        """Start a device: a new root key, no anchor, lifecycle ASSEMBLY_AND_TEST.

        An unfinished device is scrapped.

        Raises:
            StorageExistsError: a finished device is there.
            DataCorruptError: what is there is damaged.
        """
        ...

    def scrap(self) -> None:
        """Erase an unfinished device; where none is, do nothing.

        Raises:
            StorageExistsError: a finished device is there.
            DataCorruptError: what is there is damaged.
        """
        ...

    def erase(self) -> None:
        """Forget all, whatever the lifecycle: nothing sealed under this root opens again."""
        ...

    def recover(self) -> None:
        """Finish what a cut or a killed process left, before more is built upon it.

        Raises:
            RolledBackError: what is there is older than the hardware knows.
        """
        ...

    def derive(self, label: bytes, length: int = 32) -> bytes:
        """Return a key of ``length`` bytes for one purpose; the root key itself never leaves.

        Raises:
            LifecycleError: storage keys are not available in this state.
            RootOfTrustError: the hardware cannot be used.
        """
        ...

    def read_anchor(self) -> Anchor:
        """Return the anchor, BLANK before the first one is written.

        Raises:
            RolledBackError: it is older than the hardware knows.
        """
        ...

    def write_anchor(self, anchor: Anchor) -> None:
        """Make ``anchor`` the one that counts, durably.

        Raises:
            StorageFailureError: its generation does not grow, or the disk refused.
        """
        ...

    def advance(self, to: Lifecycle) -> None:
        """Step the lifecycle; to DECOMMISSIONED destroys the root key first, and may be repeated.

        Raises:
            LifecycleError: ``to`` may not follow.
        """
        ...
