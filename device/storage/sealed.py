"""All entries in two sealed copies, changed in one step: the commit protocol.

A commit writes the copy that its generation names, and reads it back; then the anchor in the
root of trust names the new image: that is the moment it counts. Last, the other copy is made
the same, so that one file may rot and no copy keeps a secret that was destroyed. Whatever is
cut, the anchor names an image that is whole on the disk.

A copy is written in its place, which takes one sync, where that is as safe as a new file, which
takes two: the other copy was looked at and is the one that counts, and the file is one that this
process has made and synced. Of a file from an earlier process nobody knows whether a sync of it
failed, which the kernel says once.

Generation g goes first to ``COPIES[g % 2]``. The rule, and not what a reader happens to find,
decides which copy is overwritten next: after a crash of the process alone, a copy may look
complete and not be on the disk yet.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Final

from device.errors import FirstbootError
from device.errors.log import logger
from device.errors.storage import (
    NOT_PERMITTED,
    ROLLED_BACK,
    STORAGE_FAILURE,
    DataCorruptError,
    StorageError,
    WrongDeviceError,
)
from device.storage.capacity import CAPACITY, PROVISIONING_ROOM, check_capacity, limit_of
from device.storage.entries import Entries, Entry, Service
from device.storage.filesystem import BRING_BACK, Fs, overwrite, replace
from device.storage.image import Sealer, digest_of
from device.storage.roots.root_of_trust import BLANK, Anchor, RootOfTrust

_LOG: Final = "device.storage"
COPIES: Final = ("image-a", "image-b")
_ATTEMPTS: Final = 100
"""How often a reader lets a writer overtake it before it says that something is wrong."""

_HALF_WAY: Final = partial(
    STORAGE_FAILURE.error, "a commit was interrupted: close the storage and open it again"
)


class SealedStore:
    """The entries of one device; one thread at a time."""

    def __init__(self, fs: Fs, root: RootOfTrust) -> None:
        """Hold nothing yet: ``create`` or ``load`` comes next."""
        self.root = root
        self._fs = fs
        self._sealer: Sealer
        self._anchor = BLANK
        self._entries: dict[tuple[Service, int], Entry] = {}
        self._depth = 0
        self._finishing = False
        self._own: set[str] = set()
        """The copies whose files this process has made and synced."""
        self._read_only = False
        self._refusal: Callable[[], FirstbootError] | None = None

    @property
    def generation(self) -> int:
        """How many commits this storage has seen."""
        return self._anchor.generation

    @property
    def entries(self) -> Entries:
        """What is stored now, changes of an open transaction included."""
        if self._refusal:
            raise self._refusal()
        return self._entries

    def create(self) -> None:
        """Write the first, empty image."""
        self._sealer = Sealer(self.root)
        self._commit()

    def load(self, *, read_only: bool) -> None:
        """Take up the image that the anchor names; a writer also completes the second copy.

        Raises:
            DataCorruptError: no copy is authentic.
            NewerFormatError: newer firmware wrote it; nothing is changed.
            RolledBackError: a copy is authentic, but it is not the current one.
            WrongDeviceError: the copies were sealed under other fuses.
        """
        self._sealer = Sealer(self.root)
        self._read_only = read_only
        image = self._current_image()
        _, self._entries = self._sealer.unseal(image)
        if not read_only:
            self._complete_copies(image)

    @contextmanager
    def transaction(self, *, finishing: bool = False) -> Iterator[dict[tuple[Service, int], Entry]]:
        """Lend the entries for changing; on exit they are durable in one commit.

        After an exception they are as before. A transaction inside another joins it: only the
        outermost one commits. One that is ``finishing`` what was accepted before may use the
        reserve (`device.storage.capacity`).

        Raises:
            CapacityExceededError: it would be too much; nothing changed.
            NotPermittedError: the storage is open for reading only, or closed.
            InsufficientStorageError, StorageFailureError: the disk refused; nothing changed,
                unless the storage says from then on that it must be opened again.
        """
        self.check_writable()
        entries, before = self._entries, dict(self._entries)
        self._depth += 1
        self._finishing = self._finishing or finishing
        try:
            yield entries
            if self._depth == 1 and entries != before:
                self.check_writable()
                self._check_capacity(before)
                self._commit()
        except BaseException:
            entries.clear()
            entries.update(before)
            raise
        finally:
            self._depth -= 1
            self._finishing = self._finishing and self._depth > 0

    def check_writable(self) -> None:
        """Raise unless the storage may be changed.

        Raises:
            NotPermittedError: the storage is open for reading only, or closed.
            StorageFailureError: an earlier commit ended half-way.
        """
        if self._refusal:
            raise self._refusal()
        if self._read_only:
            raise NOT_PERMITTED.error("the storage is open for reading only")

    def move(self, root: RootOfTrust, switch: Callable[[], None]) -> None:
        """Seal all entries under ``root``; ``switch`` puts that root into use.

        A commit as any other, but for its moment: until ``switch`` replaces what says which
        root counts, the other copy and the anchor in the old root are as they were.

        Raises:
            NotPermittedError: the storage is open for reading only, or closed.
            InsufficientStorageError, StorageFailureError: the disk refused; nothing changed,
                unless the storage says from then on that it must be opened again.
        """
        self.check_writable()
        sealer, generation = Sealer(root), self.generation + 1
        image = sealer.seal(generation, self._entries)
        first, second = self._in_order(generation)
        anchor = Anchor(generation, digest_of(image))
        replace(self._fs, first, image)
        root.write_anchor(anchor)
        self._refusal = _HALF_WAY
        switch()
        self.root, self._sealer, self._anchor = root, sealer, anchor
        self._mirror(second, image)
        self._refusal = None

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._depth > 0

    def refuse(self, reason: Callable[[], FirstbootError]) -> None:
        """Forget the entries, and answer every use from now on with the error ``reason`` makes."""
        self._entries = {}
        self._refusal = reason

    def erase(self) -> None:
        """Remove both copies."""
        for name in COPIES:
            self._fs.unlink(name)
        self._fs.fsync_folder()

    def _check_capacity(self, before: Entries) -> None:
        used = _bytes_in(self._entries)
        if used > CAPACITY - PROVISIONING_ROOM:  # below that, nobody's limit is reached
            limit = limit_of(self.root.lifecycle, finishing=self._finishing)
            check_capacity(_bytes_in(before), used, limit)

    def _commit(self) -> None:
        generation = self._anchor.generation + 1
        image = self._sealer.seal(generation, self._entries)
        first, second = self._in_order(generation)
        self._put_first(first, image, second)
        self._advance(Anchor(generation, digest_of(image)))
        self._mirror(second, image)
        self._refusal = None

    def _put_first(self, name: str, image: bytes, other: str) -> None:
        """Write the copy that the anchor is to name; until then it names what ``other`` has."""
        whole = self._whole(other) if name in self._own else None
        if whole is None:
            replace(self._fs, name, image)
        else:
            self._own.remove(name)
            try:
                overwrite(self._fs, name, image)
            except StorageError:
                with suppress(StorageError):
                    overwrite(self._fs, name, whole)  # as it was
                raise
        self._own.add(name)

    def _whole(self, name: str) -> bytes | None:
        """Return the copy, if it can be read and is the one that counts."""
        with suppress(StorageError):
            image = self._fs.read(name)
            if image is not None and digest_of(image) == self._anchor.digest:
                return image
        return None

    def _advance(self, anchor: Anchor) -> None:
        """Write ``anchor``; if nobody can tell whether it was written, refuse all use."""
        self._refusal = _HALF_WAY
        try:
            self.root.write_anchor(anchor)
        except StorageError:
            if self.root.read_anchor() == self._anchor:
                self._refusal = None
            raise
        self._anchor = anchor

    def _mirror(self, name: str, image: bytes) -> None:
        """Make the second copy the same; where the disk is full, better none than an old one.

        The anchor names the first copy already, so what the second has is of no use to anybody.
        """
        put = overwrite if name in self._own else replace
        self._own.discard(name)
        try:
            put(self._fs, name, image)
            self._own.add(name)
        except StorageError as error:
            logger(_LOG).warning("%s is not used until the next commit: %s", name, error)
            self._fs.unlink(name)
            self._fs.fsync_folder()

    def _current_image(self) -> bytes:
        for _ in range(_ATTEMPTS):
            self._anchor = self.root.read_anchor()
            if self._anchor == BLANK:
                raise DataCorruptError("the root of trust no longer holds the anchor")
            for name in self._in_order(self._anchor.generation):
                image = self._fs.read(name)
                if image and digest_of(image) == self._anchor.digest:
                    return image
            if self.root.read_anchor() == self._anchor:  # else a writer overtook us: look again
                raise self._diagnosis()
        raise STORAGE_FAILURE.error("the anchor never stands still")

    def _diagnosis(self) -> FirstbootError:
        """Say why no copy is the one that the anchor names."""
        if all(self._fs.read(name) is None for name in COPIES):
            words = f"the storage folder has neither {' nor '.join(COPIES)}"
            return DataCorruptError(words, next_step=BRING_BACK)
        found = {name: self._generation_of(name) for name in COPIES}
        said = "; ".join(f"{name}: {what}" for name, what in found.items())
        if any(isinstance(what, int) for what in found.values()):
            return ROLLED_BACK.error(
                f"no copy is the one of generation {self.generation} that the anchor names; "
                f"generations found: {said}"
            )
        if any(isinstance(what, WrongDeviceError) for what in found.values()):
            return WrongDeviceError(said)
        return DataCorruptError(said)

    def _generation_of(self, name: str) -> int | StorageError:
        if (image := self._fs.read(name)) is None:
            return DataCorruptError("it is missing")
        try:
            return self._sealer.unseal(image)[0]
        except (DataCorruptError, WrongDeviceError) as error:
            return error

    def _complete_copies(self, image: bytes) -> None:
        """Make both copies the same again, after an interrupted commit or after rot."""
        first, second = self._in_order(self._anchor.generation)
        if self._fs.read(first) != image:
            logger(_LOG).warning("%s was damaged or missing; restored from the other copy", first)
            replace(self._fs, first, image)
        found = self._fs.read(second)
        if found == image:
            return
        generation = self._generation_of(second)
        if isinstance(generation, int) and abs(generation - self._anchor.generation) <= 1:
            logger(_LOG).info("%s completed after an interrupted commit", second)
        else:
            logger(_LOG).warning("%s was damaged or missing; restored from the other copy", second)
        self._mirror(second, image)

    @staticmethod
    def _in_order(generation: int) -> tuple[str, str]:
        """Return the copy that ``generation`` goes to before the anchor, and the mirror."""
        return COPIES[generation % 2], COPIES[1 - generation % 2]


def _bytes_in(entries: Entries) -> int:
    return sum(len(entry.data) for entry in entries.values())
