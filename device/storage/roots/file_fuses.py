"""Fuses simulated by files alone: the default, honest about what files cannot do."""

from typing import ClassVar

from device.storage.roots.fuse_files import FuseFiles
from device.storage.roots.root_of_trust import SEALED, Strength


class FileFuses(FuseFiles):
    """The hardware unique key (HUK), the lifecycle and the anchor as files."""

    kind: ClassVar[str] = "file"
    strength: ClassVar[Strength] = Strength(
        SEALED, "simulated: the fuses are files beside the storage"
    )

    def _make_key(self) -> None:
        """There is no other half."""

    def _forget_key(self) -> None:
        """There is no other half."""

    def _root_key(self, huk: bytes) -> bytes:
        return huk
