"""A root of trust in a TPM 2.0: a sealed key, and an anchor that cannot go back.

The key is sealed to the TPM: the file ``sealed`` is of no use without it. The anchor is a file
with a MAC, and an NV index of the TPM says which of all such files counts. It is of the type
EXTEND: its value is the hash of its old value and what is added, as in a PCR. Each anchor names
the value that it follows, so that no two can follow one another's predecessor, and a copy of
the whole disk is refused once the device has committed again
(docs/adr/0016-tpm-anchor-hash-chain.md).

Order of a commit: the file, then the TPM. After a cut between the two the file follows the
value that the TPM still has: it counts, and the next opening extends the TPM.
"""

import hashlib
import hmac
import os
import struct
import zlib
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar, Final, Protocol

from device.errors.storage import ROLLED_BACK, STORAGE_FAILURE, DataCorruptError, WrongDeviceError
from device.storage.decoding import decoding
from device.storage.entries import StorageFlag
from device.storage.filesystem import Fs, replace
from device.storage.lifecycle import STORAGE_AVAILABLE, Lifecycle
from device.storage.roots.fuse_files import KEY_BYTES, KeyedFuses, anchor_of, check_grows
from device.storage.roots.root_of_trust import BLANK, SEALED, Anchor, Strength, Threat

_SECRET: Final = struct.Struct(">32sI")  # the key, the NV index
_CHECKSUM: Final = struct.Struct(">I")
_ATTEMPTS: Final = 100
"""How often a reader lets a writer overtake it before it says that something is wrong."""


class Tpm(Protocol):
    """What is asked of a TPM; every call may raise RootOfTrustError."""

    def seal(self, secret: bytes) -> bytes:
        """Return ``secret`` so that only this TPM opens it."""
        ...

    def unseal(self, blob: bytes) -> bytes:
        """Return what was sealed.

        Raises:
            OtherTpmError: another TPM sealed it, or this one before it was cleared.
        """
        ...

    def new_index(self) -> int:
        """Return an NV index that nothing uses, most likely."""
        ...

    def begin_chain(self, index: int, auth: bytes) -> None:
        """Define the chain, with a value that never was."""
        ...

    def read_chain(self, index: int, auth: bytes) -> bytes | None:
        """Return its 32 bytes, none if it was only defined, None where it is not."""
        ...

    def extend_chain(self, index: int, auth: bytes, link: bytes) -> None:
        """Make its value SHA-256(value + link)."""
        ...

    def remove_chain(self, index: int, auth: bytes) -> None:
        """Remove it, if it is there and opens with ``auth``."""
        ...


@dataclass(frozen=True)
class Record:
    """The anchor, and the value of the chain that it follows."""

    anchor: Anchor
    follows: bytes

    @property
    def body(self) -> bytes:
        """What is written, and vouched for by the MAC behind it."""
        words = (str(self.anchor.generation), self.anchor.digest.hex(), self.follows.hex())
        return " ".join(words).encode("ascii")

    @property
    def link(self) -> bytes:
        """What the chain is extended with."""
        return hashlib.sha256(self.body).digest()

    @property
    def value(self) -> bytes:
        """What the chain holds once this counts."""
        return hashlib.sha256(self.follows + self.link).digest()


class TpmRoot(KeyedFuses):
    """A key sealed to the TPM, and a chain in its NV memory as anchor."""

    kind: ClassVar[str] = "tpm"
    protection: ClassVar[StorageFlag] = StorageFlag.NONE
    strength: ClassVar[Strength] = Strength(
        (*SEALED, Threat.STOLEN_STATE, Threat.CLONED_DISK, Threat.OLD_DISK),
        "tested with swtpm only; not bound to PCRs: any software on this machine can read it",
    )

    def __init__(self, fs: Fs, tpm: Tpm) -> None:
        """Ask ``tpm`` when the key is first needed."""
        super().__init__(fs)
        self._tpm = tpm
        self._secret: tuple[bytes, int] | None = None

    def recover(self) -> None:
        """Finish an interrupted decommissioning too."""
        super().recover()
        if self.lifecycle is Lifecycle.DECOMMISSIONED:
            self._forget_key()
        elif self.lifecycle in STORAGE_AVAILABLE:
            record, chain = self._standing()
            if record and record.follows == chain:
                self._extend(record)

    def read_anchor(self) -> Anchor:
        return _anchor_in(self._standing()[0])

    def write_anchor(self, anchor: Anchor) -> None:
        before, chain = self._standing()
        check_grows(anchor, _anchor_in(before))
        record = Record(anchor, chain)
        self._write(record)
        self._extend(record)

    def _hmac(self, message: bytes) -> bytes:
        return hmac.digest(self._unsealed()[0], message, "sha256")

    def _make_key(self) -> None:
        """Seal a new key; the index that it names is on the disk before the TPM has it."""
        index = self._tpm.new_index()
        sealed = self._tpm.seal(_SECRET.pack(os.urandom(KEY_BYTES), index))
        replace(self._fs, "sealed", sealed + _CHECKSUM.pack(zlib.crc32(sealed)))
        self._tpm.begin_chain(index, self._auth())

    def _forget_key(self) -> None:
        if self._fs.read("sealed") is not None:
            with suppress(WrongDeviceError):  # nothing of it is in this TPM then
                self._tpm.remove_chain(self._unsealed()[1], self._auth())
        self._secret = None
        for name in ("sealed", "sealed.new"):
            self._fs.unlink(name)
        self._fs.fsync_folder()

    def _unsealed(self) -> tuple[bytes, int]:
        """Return the key and the NV index; the TPM is asked once a process."""
        if self._secret is None:
            secret = self._tpm.unseal(self._sealed())
            with decoding("what the TPM unsealed"):
                key, index = _SECRET.unpack(secret)
            self._secret = key, index
        return self._secret

    def _sealed(self) -> bytes:
        """Return what was sealed; a damaged file would look like that of another TPM."""
        content = self._fs.read("sealed") or b""
        sealed, checksum = content[: -_CHECKSUM.size], content[-_CHECKSUM.size :]
        if checksum != _CHECKSUM.pack(zlib.crc32(sealed)):
            raise DataCorruptError("fuses/sealed is missing or damaged")
        return sealed

    def _auth(self) -> bytes:
        """What the chain is read and extended with, so that nobody can do it in our place."""
        return self._hmac(b"firstboot v1 chain")

    def _chain(self) -> bytes:
        value = self._tpm.read_chain(self._unsealed()[1], self._auth())
        if not value:
            raise ROLLED_BACK.error(
                "the TPM no longer holds this device's anchor: this is an old copy of a device "
                "that was decommissioned or moved to another root of trust"
            )
        return value

    def _write(self, record: Record) -> None:
        replace(self._fs, "anchor", b"%s %s\n" % (record.body, self._mac_of(record.body)))

    def _extend(self, record: Record) -> None:
        self._tpm.extend_chain(self._unsealed()[1], self._auth(), record.link)

    def _standing(self) -> tuple[Record | None, bytes]:
        """Return the record that counts, or None before the first, and the chain's value.

        A writer may overtake us between the two.
        """
        for _ in range(_ATTEMPTS):
            record, chain = self._record(), self._chain()
            if record is None or chain in (record.value, record.follows):
                return record, chain
            if self._record() == record:
                raise ROLLED_BACK.error(
                    f"generation {record.anchor.generation} is not the one that the TPM knows: "
                    "someone restored an older copy of this device"
                )
        raise STORAGE_FAILURE.error("the anchor never stands still")

    def _record(self) -> Record | None:
        content = self._fs.read("anchor")
        if content is None:
            return None
        body, _, mac = content.rstrip(b"\n").rpartition(b" ")
        if not hmac.compare_digest(mac, self._mac_of(body)):
            raise DataCorruptError("fuses/anchor is not authentic")
        with decoding("fuses/anchor"):
            generation, digest, follows = body.decode("ascii").split()
            return Record(anchor_of(generation, digest), bytes.fromhex(follows))

    def _mac_of(self, body: bytes) -> bytes:
        key = self._hmac(b"firstboot v1 anchor")
        return hmac.digest(key, body, "sha256").hex().encode("ascii")


def _anchor_in(record: Record | None) -> Anchor:
    return record.anchor if record else BLANK
