"""``STATE/root-of-trust.json``: which root of trust counts, and in which folder it is.

It is public, and believed only as far as it goes: whoever changes it leads to a root under
which the images do not open. Replacing it is the one step that moves a storage from one root
to another (``factory rewrap``); until both sides are tidy, it also names the root to erase.
"""

from typing import Final, Literal

import msgspec
from msgspec import Struct

from device.storage.decoding import decoded
from device.storage.filesystem import Fs, replace
from device.storage.roots.root_plan import FILE, RootPlan

NAME: Final = "root-of-trust.json"

Folder = Literal["fuses", "fuses-2"]


class Descriptor(Struct, frozen=True, forbid_unknown_fields=True):
    """What the file says; a device without one stands on files in ``fuses``."""

    root_of_trust: RootPlan = FILE
    folder: Folder = "fuses"
    to_erase: RootPlan | None = None
    """The root in the spare folder: one that is being left, or was never moved to."""

    @property
    def spare_folder(self) -> Folder:
        """The folder that is free for another root."""
        return "fuses-2" if self.folder == "fuses" else "fuses"


_DESCRIPTOR: Final = msgspec.json.Decoder(Descriptor)


def read_descriptor(state: Fs) -> Descriptor:
    """Return the descriptor in ``state``.

    Raises:
        DataCorruptError: it cannot be read.
    """
    content = state.read(NAME)
    if content is None:
        return Descriptor()
    return decoded(content, _DESCRIPTOR.decode, NAME)


def write_descriptor(state: Fs, descriptor: Descriptor) -> None:
    """Make ``descriptor`` the one that counts, atomically and durably.

    Raises:
        StorageFailureError, InsufficientStorageError: the disk refused.
    """
    if read_descriptor(state) != descriptor:
        replace(state, NAME, msgspec.json.encode(descriptor) + b"\n")
