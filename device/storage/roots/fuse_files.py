"""Fuses played by files: what all roots of trust keep in a folder of the device.

``huk`` (hardware unique key) is the device's own half of its root key. For `FileFuses` it is
the whole of it; the others mix it, by HMAC, with a key that is not on this disk. So two
devices on one board have different keys, and decommissioning can destroy something even where
the board's key cannot be erased.
"""

import os
import zlib
from abc import ABC, abstractmethod
from typing import ClassVar, Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from device.errors.storage import (
    DECOMMISSIONED,
    STORAGE_FAILURE,
    DataCorruptError,
    LifecycleError,
    StorageExistsError,
)
from device.storage.decoding import decoded, decoding
from device.storage.entries import StorageFlag
from device.storage.filesystem import Fs, replace
from device.storage.lifecycle import STORAGE_AVAILABLE, Lifecycle, check_transition
from device.storage.roots.root_of_trust import BLANK, Anchor, Strength

KEY_BYTES: Final = 32
DIGEST_BYTES: Final = 32
MAX_GENERATION: Final = 2**63
"""What an image can hold."""
_DESTROYED: Final = b"destroyed\n"
_UNFINISHED: Final = (
    Lifecycle.UNKNOWN,
    Lifecycle.ASSEMBLY_AND_TEST,
    Lifecycle.PSA_ROT_PROVISIONING,
)


class FuseFiles(ABC):
    """A `RootOfTrust` with its half of the root key, the lifecycle and the anchor as files."""

    kind: ClassVar[str]
    strength: ClassVar[Strength]
    protection: ClassVar[StorageFlag] = StorageFlag.NO_REPLAY_PROTECTION

    def __init__(self, fs: Fs) -> None:
        self._fs = fs

    @abstractmethod
    def _root_key(self, huk: bytes) -> bytes:
        """Return the 32 bytes that all keys derive from."""

    @abstractmethod
    def _make_key(self) -> None:
        """Make the half of the root key that is elsewhere; nothing is burned if it fails."""

    @abstractmethod
    def _forget_key(self) -> None:
        """Erase the half elsewhere if it belongs to this device alone; twice does no harm."""

    def burn(self) -> None:
        """The lifecycle is written first: a HUK without one is damage, not an unfinished device."""
        self.scrap()
        self._make_key()
        self._write_lifecycle(Lifecycle.ASSEMBLY_AND_TEST)
        self._fs.create("huk", os.urandom(KEY_BYTES), mode=0o400)
        self._fs.fsync("huk")
        self._fs.fsync_folder()

    def scrap(self) -> None:
        state = self.lifecycle
        if state not in _UNFINISHED:
            raise StorageExistsError(f"these fuses are burned already (lifecycle {state.name})")
        self.erase()

    def erase(self) -> None:
        self._forget_key()
        for name in ("huk", "huk.new", "anchor", "anchor.new", "lifecycle.new"):
            self._fs.unlink(name)
        self._fs.fsync_folder()
        self._fs.unlink("lifecycle")
        self._fs.fsync_folder()

    def recover(self) -> None:
        """Make durable what a killed process may have left in the cache."""
        self._fs.fsync_folder()

    @property
    def lifecycle(self) -> Lifecycle:
        """DECOMMISSIONED once the HUK is destroyed, whatever the file says."""
        return self._read()[0]

    def _read(self) -> tuple[Lifecycle, bytes | None]:
        """Return the lifecycle, and the HUK if there is one."""
        content, huk = self._fs.read("lifecycle"), self._fs.read("huk")
        if huk == _DESTROYED:
            return Lifecycle.DECOMMISSIONED, None
        if content is None and huk is None:
            return Lifecycle.UNKNOWN, None
        if content is None:
            raise DataCorruptError("fuses/lifecycle is missing")
        with decoding("fuses/lifecycle"):
            return Lifecycle[content.decode("ascii").strip()], huk

    def derive(self, label: bytes, length: int = 32) -> bytes:
        """Use HKDF-SHA256 (RFC 5869) of the root key, with ``label`` as info."""
        state, huk = self._read()
        if state is Lifecycle.DECOMMISSIONED:
            raise DECOMMISSIONED.error(
                "the root key was destroyed when the device was decommissioned"
            )
        if state not in STORAGE_AVAILABLE:
            raise LifecycleError(f"storage keys are not available in lifecycle {state.name}")
        if huk is None or len(huk) != KEY_BYTES:
            raise DataCorruptError("fuses/huk is missing or damaged")
        return HKDF(SHA256(), length, salt=None, info=label).derive(self._root_key(huk))

    def read_anchor(self) -> Anchor:
        content = self._fs.read("anchor")
        if content is None:
            return BLANK
        return decoded(content, _anchor, "fuses/anchor")

    def write_anchor(self, anchor: Anchor) -> None:
        check_grows(anchor, self.read_anchor())
        body = f"{anchor.generation} {anchor.digest.hex()}".encode("ascii")
        replace(self._fs, "anchor", b"%s %08x\n" % (body, zlib.crc32(body)))

    def advance(self, to: Lifecycle) -> None:
        """Destroying the HUK is the one step that decommissions; the rest may be done again."""
        is_again = to is self.lifecycle is Lifecycle.DECOMMISSIONED
        if not is_again:
            check_transition(self.lifecycle, to)
        if to is Lifecycle.DECOMMISSIONED:
            replace(self._fs, "huk", _DESTROYED, mode=0o400)
        self._write_lifecycle(to)
        if to is Lifecycle.DECOMMISSIONED:
            self._forget_key()

    def _write_lifecycle(self, state: Lifecycle) -> None:
        replace(self._fs, "lifecycle", f"{state.name}\n".encode("ascii"))


def _anchor(content: bytes) -> Anchor:
    """Read ``GENERATION DIGEST CRC``; whoever wrote the CRC may have written anything else."""
    body, _, checksum = content.rstrip(b"\n").rpartition(b" ")
    if int(checksum, 16) != zlib.crc32(body):
        raise ValueError
    return anchor_of(*body.decode("ascii").split())


def anchor_of(generation: str, digest: str) -> Anchor:
    """Return the anchor of two written words.

    Raises:
        ValueError: they are none.
    """
    anchor = Anchor(int(generation), bytes.fromhex(digest))
    if not (0 < anchor.generation <= MAX_GENERATION and len(anchor.digest) == DIGEST_BYTES):
        raise ValueError
    return anchor


def check_grows(anchor: Anchor, current: Anchor) -> None:
    """Raise unless ``anchor`` may follow the ``current`` one.

    Raises:
        StorageFailureError: its generation is not higher.
    """
    if anchor.generation <= current.generation:
        raise STORAGE_FAILURE.error(
            f"the anchor can only grow: {anchor.generation} after {current.generation}"
        )


class KeyedFuses(FuseFiles):
    """`FuseFiles` whose root key is an HMAC of the HUK, by a key that is not in the folder."""

    def __init__(self, fs: Fs) -> None:
        super().__init__(fs)
        self._known: tuple[bytes, bytes] | None = None

    @abstractmethod
    def _hmac(self, message: bytes) -> bytes:
        """Return HMAC-SHA256 of ``message``, at most 2048 bytes, by the key elsewhere.

        Raises:
            RootOfTrustError, ElementError: that key cannot be used.
        """

    def _make_key(self) -> None:
        self._hmac(b"firstboot: is there a key?")

    def _forget_key(self) -> None:
        """The key is not this device's alone."""

    def _root_key(self, huk: bytes) -> bytes:
        """Ask for the key once a process: hardware is slow, and a credential is read once.

        The kind is part of it: no key of one kind of root is ever that of another.
        """
        from hmac import compare_digest  # noqa: PLC0415 - loads OpenSSL; `FileFuses` needs none

        if self._known is None or not compare_digest(self._known[0], huk):
            message = b"firstboot v1 root key\0" + self.kind.encode("ascii") + b"\0" + huk
            self._known = (huk, self._hmac(message))
        return self._known[1]
