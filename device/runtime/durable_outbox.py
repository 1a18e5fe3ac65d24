"""The outbox on disk: what was accepted goes out, whatever is cut in between.

One file a publication, in a folder beside the sealed image, numbered in order. A publication is
accepted once its file and its name are synced; it is removed when AWS IoT has acknowledged it. The
removal is not synced, so that a cut may bring an acknowledged publication back: it then goes out
twice, as MQTT's "at least once" allows. Each file is sealed (AES-256-GCM, a random nonce, its name
as associated data) under a key that is derived from the device's root of trust. A file that does
not open, as a cut leaves it when nothing was accepted yet, is dropped and counted.
"""

import logging
import os
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from device.errors.storage import StorageError
from device.operation.outbox import MOST_BYTES, MOST_MESSAGES, MemoryOutbox
from device.provisioning.actions import Publish
from device.storage.device_storage import DeviceStorage
from device.storage.filesystem import Folder, OsFs, make_folder

_log = logging.getLogger(__name__)

KEY_LABEL: Final = b"firstboot v1 outbox"
_NONCE_BYTES: Final = 12
_CONTENT: Final = msgspec.msgpack.Decoder(tuple[str, bytes])


class DurableOutbox(MemoryOutbox):
    """An `Outbox` in a folder; the folder is this object's alone."""

    is_durable: bool = True

    def __init__(
        self, folder: Folder, key: bytes, most: int = MOST_MESSAGES, most_bytes: int = MOST_BYTES
    ) -> None:
        """Take up what ``folder`` holds, whatever the limits are now.

        Raises:
            StorageError: the folder cannot be read or synced.
        """
        super().__init__(most, most_bytes)
        self._folder: Final = folder
        self._cipher: Final = AESGCM(key)
        self._names: Final[deque[str]] = deque()
        self._last = 0
        self.damaged = 0
        """How many files did not open."""
        folder.fsync_folder()  # so that no later cut brings back what is gone now
        for name in sorted(folder.names()):
            self._take_up(name)

    def put(self, publication: Publish) -> None:
        """Keep ``publication``, durably on return.

        Raises:
            OutboxFullError: there is no room for it.
            StorageError: the disk refused.
        """
        self.check_room_for(publication)
        name = f"{self._last + 1:016x}"
        self._write(name, self._sealed(name, publication))
        self._last += 1
        super().hold(publication)
        self._names.append(name)

    def hold(self, publication: Publish) -> None:
        """Keep ``publication`` in memory alone."""
        super().hold(publication)
        self._names.append("")

    def remove(self, position: int = 0) -> Publish:
        """Forget the publication at ``position``, and return it; a cut may bring it back."""
        publication, name = super().remove(position), self._names[position]
        del self._names[position]
        try:
            if name:
                self._folder.unlink(name)
        except StorageError as error:
            _log.warning("a publication that is done stays on disk, and may go again: %s", error)
        return publication

    def _write(self, name: str, content: bytes) -> None:
        try:
            self._folder.create(name, content)
            self._folder.fsync(name)
            self._folder.fsync_folder()
        except StorageError:
            with suppress(StorageError):
                self._folder.unlink(name)
            raise

    def _take_up(self, name: str) -> None:
        try:
            publication = self._unsealed(name, self._folder.read(name) or b"")
        except (InvalidTag, ValueError, msgspec.DecodeError):
            self.damaged += 1
            self._folder.unlink(name)
            return
        self._last = int(name, 16)
        super().hold(publication)
        self._names.append(name)

    def _sealed(self, name: str, publication: Publish) -> bytes:
        content = msgspec.msgpack.encode((publication.topic, publication.payload))
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, content, name.encode())

    def _unsealed(self, name: str, content: bytes) -> Publish:
        nonce, sealed = content[:_NONCE_BYTES], content[_NONCE_BYTES:]
        return Publish(*_CONTENT.decode(self._cipher.decrypt(nonce, sealed, name.encode())))


def open_outbox(place: Path, storage: DeviceStorage, most: int, most_bytes: int) -> DurableOutbox:
    """Return the outbox in the folder ``place``, sealed for the device of ``storage``.

    Raises:
        StorageError: the folder cannot be made or read.
    """
    make_folder(place)
    outbox = DurableOutbox(OsFs(place), storage.derive_key(KEY_LABEL), most, most_bytes)
    if outbox.damaged:
        _log.warning("%d files of %s could not be read; dropped", outbox.damaged, place)
    return outbox
