"""A TPM in memory; its memory may be that of a recording disk, so that power cuts include it."""

import hashlib
import os
from collections.abc import Callable, Mapping
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from device.errors.root_of_trust import OTHER_TPM
from device.errors.storage import StorageError
from tests.support.recording_fs import RecordingDisk

FOLDER = "chip"


class ChipMemory(Protocol):
    def held(self) -> Mapping[str, bytes]: ...
    def change(self, name: str, data: bytes | None) -> None: ...


class OwnMemory:
    """The chip survives whatever happens to the disk."""

    def __init__(self) -> None:
        self._held: dict[str, bytes] = {}

    def held(self) -> Mapping[str, bytes]:
        return self._held

    def change(self, name: str, data: bytes | None) -> None:
        if data is None:
            self._held.pop(name, None)
        else:
            self._held[name] = data


class RecordedMemory:
    """The chip's changes are in the record of a disk, each of them atomic and durable."""

    def __init__(self, disk: RecordingDisk) -> None:
        self._disk = disk

    def held(self) -> Mapping[str, bytes]:
        inodes = self._disk.names.get(FOLDER, {})
        return {name: self._disk.data[inode] for name, inode in inodes.items()}

    def change(self, name: str, data: bytes | None) -> None:
        self._disk.store(FOLDER, name, data)


class FakeTpm:
    """Behaves as swtpm does where this device can see it."""

    def __init__(self, memory: ChipMemory | None = None, seed: bytes = b"seed".ljust(32)) -> None:
        self.memory: ChipMemory = memory or OwnMemory()
        self.before: Callable[[str], None] = lambda _: None
        """Called with the name of each call before it has an effect; may raise."""
        self._cipher = AESGCM(seed)

    def seal(self, secret: bytes) -> bytes:
        self.before("seal")
        nonce = os.urandom(12)
        return nonce + self._cipher.encrypt(nonce, secret, None)

    def unseal(self, blob: bytes) -> bytes:
        self.before("unseal")
        try:
            return self._cipher.decrypt(blob[:12], blob[12:], None)
        except InvalidTag:
            raise OTHER_TPM.error(response=0x1DF) from None

    def new_index(self) -> int:
        return 0x0190_0000 + int.from_bytes(os.urandom(2), "big")

    def begin_chain(self, index: int, auth: bytes) -> None:
        self.before("define")
        assert f"{index:x}" not in self.memory.held()
        self.memory.change(f"{index:x}", auth)
        self.extend_chain(index, auth, os.urandom(32))

    def read_chain(self, index: int, auth: bytes) -> bytes | None:
        self.before("read")
        content = self.memory.held().get(f"{index:x}", b"")
        return content[len(auth) :] if content[: len(auth)] == auth else None

    def extend_chain(self, index: int, auth: bytes, link: bytes) -> None:
        self.before("extend")
        old = self.read_chain(index, auth)
        if old is None:
            raise StorageError("simulated: no such index")
        value = hashlib.sha256((old or bytes(32)) + link).digest()
        self.memory.change(f"{index:x}", auth + value)

    def remove_chain(self, index: int, auth: bytes) -> None:
        self.before("remove")
        if self.read_chain(index, auth) is not None:
            self.memory.change(f"{index:x}", None)
