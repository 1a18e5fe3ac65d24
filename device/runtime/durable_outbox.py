"""The outbox on disk: what was accepted goes out, whatever is cut in between.

One file for all publications that were put together, in a folder beside the sealed image, numbered
in order. They are accepted once the file and its name are synced, by two fsyncs for all of them.
The file is removed when AWS IoT has acknowledged all of them; the last file, when nothing else
waits, is marked as done instead, and the next group goes into it by one fsync, since its name is
there. Neither is synced, so a cut may bring acknowledged publications back: they then go out twice,
as MQTT's "at least once" allows.
A stop in good order repeats nothing (`DurableOutbox.settle`). Each file is sealed (AES-256-GCM, a
random nonce, its name as associated data) under a key that is derived from the device's root of
trust. A file that does not open, as a cut leaves it when nothing was accepted yet, is dropped and
counted.
A file is padded to a multiple of 1 KiB, so the next group mostly fits the file that is used again:
the disk then writes one block in its place, and nothing of the file system's own.
"""

import logging
import os
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from device.errors.storage import StorageError
from device.operation.outbox import MOST_BYTES, MOST_MESSAGES, MemoryOutbox
from device.provisioning.actions import Publish
from device.runtime.open_file import FolderWithOpenFile
from device.storage.device_storage import DeviceStorage
from device.storage.filesystem import UNFINISHED, Folder, make_folder, replace

_log = logging.getLogger(__name__)

KEY_LABEL: Final = b"firstboot v1 outbox"
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_UNIT: Final = 1024
_DONE: Final = b"acknowledged".ljust(_UNIT, b"\0")
"""What stands in a file of which nothing waits; no nonce is ever its first 12 bytes."""
_CONTENT: Final = msgspec.msgpack.Decoder(list[object])
"""Topic and payload in turn."""
_PADDING: Final = b"\0"
"""Goes before the content, since no list begins with it."""


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
        """The file of each publication; empty for one that is in memory alone."""
        self._written: Final[dict[str, int]] = {}
        """How many publications are in each file."""
        self._last = 0
        self._empty = ""
        """The file that is there for the next group, marked as done; empty for none."""
        self.damaged = 0
        """How many files did not open."""
        folder.fsync_folder()  # so that no later cut brings back what is gone now
        for name in sorted(folder.names()):
            self._take_up(name)

    def put(self, *group: Publish) -> None:
        """Keep all of ``group``, durably on return.

        Raises:
            OutboxFullError: there is no room for all.
            StorageError: the disk refused.
        """
        self.check_room_for(*group)
        name = self._empty or f"{self._last + 1:016x}"
        self._write(name, self._sealed(name, group))
        self._last = int(name, 16)
        self._empty = ""
        self._hold_all(name, group)

    def hold(self, publication: Publish) -> None:
        """Keep ``publication`` in memory alone."""
        super().hold(publication)
        self._names.append("")

    def remove(self, position: int = 0) -> Publish:
        """Forget the publication at ``position``, and return it; a cut may bring it back."""
        publication, name = super().remove(position), self._names[position]
        del self._names[position]
        if name and name not in self._names:
            self._forget(name)
        return publication

    def settle(self) -> None:
        """Leave no file, and no part of a file, of what is done: a start shall not repeat it."""
        if self._empty:
            self._remove_file(self._empty)
            self._empty = ""
        for name, count in Counter(self._names).items():
            if name and count < self._written[name]:
                self._write_rest(name)

    def _write_rest(self, name: str) -> None:
        rest = [self.at(i) for i, its in enumerate(self._names) if its == name]
        try:
            replace(self._folder, name, self._sealed(name, rest))
            self._written[name] = len(rest)
        except StorageError as error:
            _log.warning("publications that are done stay on disk, and may go again: %s", error)

    def _forget(self, name: str) -> None:
        del self._written[name]
        # Only the last: a file with a higher number that a cut brings back would be out of order.
        if self._written or int(name, 16) < self._last:
            self._remove_file(name)
        else:
            self._mark_as_done(name)

    def _mark_as_done(self, name: str) -> None:
        try:
            self._folder.overwrite(name, _DONE)
            self._empty = name
        except StorageError:
            self._remove_file(name)

    def _remove_file(self, name: str) -> None:
        try:
            self._folder.unlink(name)
        except StorageError as error:
            _log.warning("a publication that is done stays on disk, and may go again: %s", error)

    def _hold_all(self, name: str, group: Sequence[Publish]) -> None:
        self._written[name] = len(group)
        for publication in group:
            super().hold(publication)
            self._names.append(name)

    def _write(self, name: str, content: bytes) -> None:
        try:
            if name == self._empty:
                self._folder.overwrite(name, content)
                self._folder.fsync(name)
            else:
                self._folder.create(name, content)
                self._folder.fsync(name)
                self._folder.fsync_folder()
        except StorageError:
            self._empty = ""
            with suppress(StorageError):
                self._folder.unlink(name)
            raise

    def _take_up(self, name: str) -> None:
        if name.endswith(UNFINISHED):
            self._folder.unlink(name)
            return
        content = self._folder.read(name)
        if content is None or is_done(content):
            self._folder.unlink(name)
            return
        try:
            group = self._unsealed(name, content)
        except (InvalidTag, ValueError, TypeError, msgspec.DecodeError):
            self.damaged += 1
            self._folder.unlink(name)
            return
        self._last = int(name, 16)
        self._hold_all(name, group)

    def _sealed(self, name: str, group: Sequence[Publish]) -> bytes:
        content = msgspec.msgpack.encode([part for each in group for part in _parts(each)])
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, _padded(content), name.encode())

    def _unsealed(self, name: str, content: bytes) -> Sequence[Publish]:
        nonce, sealed = content[:_NONCE_BYTES], content[_NONCE_BYTES:]
        content = self._cipher.decrypt(nonce, sealed, name.encode())
        parts = _CONTENT.decode(content.lstrip(_PADDING))
        return [_publication(*pair) for pair in zip(parts[::2], parts[1::2], strict=True)]


def is_done(content: bytes) -> bool:
    """Whether a file with this content holds nothing that waits; an older firmware empties it."""
    return content in {b"", _DONE}


def _parts(publication: Publish) -> tuple[str, bytes]:
    return publication.topic, publication.payload


def _padded(content: bytes) -> bytes:
    """Return ``content`` so that its file fills whole units."""
    around = _NONCE_BYTES + _TAG_BYTES
    units = -(-(len(content) + around) // _UNIT)
    return content.rjust(units * _UNIT - around, _PADDING)


def _publication(topic: object, payload: object) -> Publish:
    if not (isinstance(topic, str) and isinstance(payload, bytes)):
        raise TypeError("this is not a topic and its payload")
    return Publish(topic, payload)


def open_outbox(place: Path, storage: DeviceStorage, most: int, most_bytes: int) -> DurableOutbox:
    """Return the outbox in the folder ``place``, sealed for the device of ``storage``.

    Raises:
        StorageError: the folder cannot be made or read.
    """
    make_folder(place)
    outbox = DurableOutbox(
        FolderWithOpenFile(place), storage.derive_key(KEY_LABEL), most, most_bytes
    )
    if outbox.damaged:
        _log.warning("%d files of %s could not be read; dropped", outbox.damaged, place)
    return outbox
