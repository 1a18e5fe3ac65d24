"""A state folder and the root of trust that is in use in it, which may have moved."""

from pathlib import Path

import msgspec

from device.errors import FirstbootError
from device.errors.log import logger
from device.storage.filesystem import Mount, make_folder
from device.storage.lifecycle import Lifecycle
from device.storage.roots.descriptor import Descriptor, read_descriptor, write_descriptor
from device.storage.roots.root_of_trust import RootOfTrust
from device.storage.roots.root_plan import FILE, RootMaker, RootPlan
from device.storage.sealed import SealedStore


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

    def recover(self) -> None:
        """Finish what a cut or a killed process left, before anything is built upon it.

        Raises:
            RolledBackError: the root of trust is older than its hardware knows.
        """
        if self.descriptor.to_erase is not None:
            # What says which root counts may be in the cache alone, and the copies of the image
            # are about to be made those of that root.
            self._mount(self.state).fsync_folder()
        self.root.recover()

    def begin_move(self, to: RootPlan) -> RootOfTrust:
        """Burn the root of trust ``to`` in the spare folder; the one in use stays in use.

        It is noted first: whatever comes, the next opening erases it, or what it has replaced.

        Raises:
            RootOfTrustError, ElementError: it cannot be used; it is erased again.
            StorageError: the disk refused.
        """
        spare = self.state / self.descriptor.spare_folder
        make_folder(spare)
        self._describe(msgspec.structs.replace(self.descriptor, to_erase=to))
        root = self._make_root(to, self._mount(spare))
        try:
            root.burn()
            root.advance(Lifecycle.PSA_ROT_PROVISIONING)
            root.advance(Lifecycle.SECURED)
        except BaseException:
            self.tidy_if_possible()
            raise
        return root

    def finish_move(self) -> None:
        """Switch to the root of trust that ``begin_move`` made, in one step."""
        was = self.descriptor
        self._describe(Descriptor(was.to_erase or FILE, was.spare_folder, was.root_of_trust))

    def tidy(self) -> None:
        """Erase the root that a move has left, or never came to.

        Raises:
            StorageError, ElementError: it is out of reach; it is left for the next time.
        """
        leftover = self.descriptor.to_erase
        if leftover is None:
            return
        self._make_root(leftover, self._mount(self.state / self.descriptor.spare_folder)).erase()
        self._describe(msgspec.structs.replace(self.descriptor, to_erase=None))

    def tidy_if_possible(self) -> None:
        """Tidy, or say in the log why not: the device works without."""
        try:
            self.tidy()
        except FirstbootError as error:
            logger("device.storage").warning(
                "the former root of trust is not yet erased: %s", error
            )

    def _describe(self, descriptor: Descriptor) -> None:
        write_descriptor(self._mount(self.state), descriptor)
        self.descriptor = descriptor
