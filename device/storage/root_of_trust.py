"""What the storage stands on: a key that never leaves, an anchor that only grows, a lifecycle.

``FileFuses`` plays the one-time-programmable fuses of a chip with three files. Real roots of
trust (a TPM, the firmware crypto of a Raspberry Pi, a token) fit behind the same protocol.
"""

import os
import zlib
from dataclasses import dataclass
from typing import Final, Protocol

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from device.errors import (
    DataCorruptError,
    DecommissionedError,
    LifecycleError,
    StorageExistsError,
    StorageFailureError,
)
from device.storage.filesystem import Fs, replace
from device.storage.flags import StorageFlag
from device.storage.lifecycle import STORAGE_AVAILABLE, Lifecycle, check_transition


@dataclass(frozen=True)
class Anchor:
    """The one image that counts: its generation, and the SHA-256 of its bytes."""

    generation: int
    digest: bytes


BLANK: Final = Anchor(0, bytes(32))
"""The anchor before the first commit."""


class RootOfTrust(Protocol):
    """What a store asks of the hardware beneath it."""

    @property
    def protection(self) -> StorageFlag:
        """What this root cannot give, as ``get_info`` reports it."""
        ...

    @property
    def description(self) -> str:
        """One line for people: what it protects against, and what not."""
        ...

    @property
    def lifecycle(self) -> Lifecycle:
        """The state now; UNKNOWN where no fuse is burned."""
        ...

    def derive(self, label: bytes, length: int = 32) -> bytes:
        """Return a key of ``length`` bytes for one purpose; the root key itself never leaves.

        Raises:
            LifecycleError: storage keys are not available in this state.
        """
        ...

    def read_anchor(self) -> Anchor:
        """Return the anchor, BLANK before the first one is written."""
        ...

    def write_anchor(self, anchor: Anchor) -> None:
        """Make ``anchor`` the one that counts, durably.

        Raises:
            StorageFailureError: its generation does not grow, or the disk refused.
        """
        ...

    def advance(self, to: Lifecycle) -> None:
        """Step the lifecycle; to DECOMMISSIONED destroys the root key first.

        Raises:
            LifecycleError: ``to`` may not follow.
        """
        ...


class FileFuses:
    """Simulated fuses: the hardware unique key (HUK), the lifecycle and the anchor as files."""

    protection: Final = StorageFlag.NO_REPLAY_PROTECTION
    description: Final = (
        "fuses simulated by files: a storage copied to another device does not open, old images "
        "put back are refused; a clone of the whole disk, or root on this machine, is not stopped"
    )

    _DESTROYED: Final = b"destroyed\n"
    _UNFINISHED: Final = (
        Lifecycle.UNKNOWN,
        Lifecycle.ASSEMBLY_AND_TEST,
        Lifecycle.PSA_ROT_PROVISIONING,
    )

    def __init__(self, fs: Fs) -> None:
        self._fs = fs

    def burn(self) -> None:
        """Start a device: a new HUK, no anchor, lifecycle ASSEMBLY_AND_TEST.

        An unfinished device is scrapped. The lifecycle is written before all else: a HUK
        without one is damage, never an unfinished device.

        Raises:
            StorageExistsError: the fuses are those of a finished device.
            DataCorruptError: the fuses are damaged.
        """
        state = self.lifecycle
        if state not in self._UNFINISHED:
            raise StorageExistsError(f"these fuses are burned already (lifecycle {state.name})")
        for name in ("huk", "anchor"):
            self._fs.unlink(name)
        self._write_lifecycle(Lifecycle.ASSEMBLY_AND_TEST)
        self._fs.create("huk", os.urandom(32), mode=0o400)
        self._fs.fsync("huk")
        self._fs.fsync_folder()

    def settle(self) -> None:
        """Make durable what a killed process left in the cache, before more is built upon it."""
        self._fs.fsync_folder()

    @property
    def lifecycle(self) -> Lifecycle:
        """See ``RootOfTrust``; a destroyed HUK is DECOMMISSIONED, whatever came after."""
        content, root_key = self._fs.read("lifecycle"), self._fs.read("huk")
        if root_key == self._DESTROYED:
            return Lifecycle.DECOMMISSIONED
        if content is None and root_key is None:
            return Lifecycle.UNKNOWN
        if content is None:
            raise DataCorruptError("fuses/lifecycle is missing")
        try:
            return Lifecycle[content.decode("ascii").strip()]
        except (KeyError, UnicodeDecodeError):
            raise DataCorruptError("fuses/lifecycle holds no lifecycle state") from None

    def derive(self, label: bytes, length: int = 32) -> bytes:
        """See ``RootOfTrust``; HKDF-SHA256 (RFC 5869) of the HUK, ``label`` as info."""
        state = self.lifecycle
        if state is Lifecycle.DECOMMISSIONED:
            raise DecommissionedError("the root key was destroyed when the device left service")
        if state not in STORAGE_AVAILABLE:
            raise LifecycleError(f"storage keys are not available in lifecycle {state.name}")
        root_key = self._fs.read("huk")
        if root_key is None or len(root_key) != 32:
            raise DataCorruptError("fuses/huk is missing or damaged")
        return HKDF(SHA256(), length, salt=None, info=label).derive(root_key)

    def read_anchor(self) -> Anchor:
        """See ``RootOfTrust``."""
        content = self._fs.read("anchor")
        if content is None:
            return BLANK
        body, _, checksum = content.rstrip(b"\n").rpartition(b" ")
        try:
            if int(checksum, 16) == zlib.crc32(body):
                generation, digest = body.decode("ascii").split()
                return Anchor(int(generation), bytes.fromhex(digest))
        except ValueError:
            pass  # said below, together with a wrong checksum
        raise DataCorruptError("fuses/anchor is damaged")

    def write_anchor(self, anchor: Anchor) -> None:
        """See ``RootOfTrust``."""
        current = self.read_anchor().generation
        if anchor.generation <= current:
            raise StorageFailureError(f"the anchor only grows: {anchor.generation} after {current}")
        body = f"{anchor.generation} {anchor.digest.hex()}".encode("ascii")
        replace(self._fs, "anchor", b"%s %08x\n" % (body, zlib.crc32(body)))

    def advance(self, to: Lifecycle) -> None:
        """See ``RootOfTrust``; the HUK's end is the one step that decommissions."""
        check_transition(self.lifecycle, to)
        if to is Lifecycle.DECOMMISSIONED:
            replace(self._fs, "huk", self._DESTROYED, mode=0o400)
        self._write_lifecycle(to)

    def _write_lifecycle(self, state: Lifecycle) -> None:
        replace(self._fs, "lifecycle", f"{state.name}\n".encode("ascii"))
