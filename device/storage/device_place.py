"""A state folder and the root of trust that counts in it, which may have moved."""

import logging
from pathlib import Path

import msgspec

from device.errors import FirstbootError
from device.storage.filesystem import Mount
from device.storage.root_descriptor import read_descriptor, write_descriptor
from device.storage.root_plan import RootMaker
from device.storage.sealed import SealedStore

logger = logging.getLogger("device.storage")


class DevicePlace:
    """One look at a state folder; nothing is opened yet."""

    def __init__(self, state: Path, mount: Mount, make_root: RootMaker) -> None:
        """Find the root of trust.

        Raises:
            DataCorruptError: what says where it is cannot be read.
        """
        self.state = state
        self.descriptor = read_descriptor(mount(state))
        self._mount = mount
        self._make_root = make_root
        self.root = make_root(self.descriptor.root_of_trust, mount(state / self.descriptor.folder))
        self.store = SealedStore(mount(state / "storage"), self.root)

    def tidy(self) -> None:
        """Erase the root that a move has left, or never came to.

        Raises:
            StorageError, ElementError: it is out of reach; it is left for the next time.
        """
        leftover = self.descriptor.to_erase
        if leftover is None:
            return
        here = self._mount(self.state)
        here.fsync_folder()  # before a root is gone, the disk has to know that the other counts
        self._make_root(leftover, self._mount(self.state / self.descriptor.spare_folder)).erase()
        self.descriptor = msgspec.structs.replace(self.descriptor, to_erase=None)
        write_descriptor(here, self.descriptor)

    def tidy_if_possible(self) -> None:
        """Tidy, or say in the log why not: the device works without."""
        try:
            self.tidy()
        except FirstbootError as error:
            logger.warning("a root of trust that is no longer used is not erased yet: %s", error)
