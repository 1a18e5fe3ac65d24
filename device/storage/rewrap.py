"""Move a storage from one root of trust to another: all of it, or nothing.

The new root is burned in the spare folder, and everything sealed under it, while the old one
still counts. One replacement of the descriptor turns it round. Then the second copy of the
image is made the same, and the old root is erased. After a cut, before or behind that moment,
the next opening erases the root that does not count.
"""

from pathlib import Path

from msgspec.structs import replace

from device.storage.device_place import DevicePlace
from device.storage.device_storage import DeviceStorage, open_device_storage
from device.storage.filesystem import Mount, OsFs, make_folder
from device.storage.lifecycle import Lifecycle
from device.storage.root_descriptor import Descriptor, write_descriptor
from device.storage.root_of_trust import RootOfTrust
from device.storage.root_plan import RootMaker, RootPlan, make_root


def rewrap_device_storage(
    state: Path, to: RootPlan, *, mount: Mount = OsFs, make_root: RootMaker = make_root
) -> RootPlan:
    """Move the SECURED device in ``state`` to the root of trust ``to``; return the old one.

    When it returns, the device opens under the new root, and nothing that is sealed under the
    old one is left in the state folder.

    Raises:
        RootOfTrustError, ElementError: one of the roots cannot be used. Which one counts is
            what the device opens under, now as before.
        StorageError: as for ``open_device_storage``.
    """
    with open_device_storage(state, mount=mount, make_root=make_root) as storage:
        place = DevicePlace(state, mount, make_root)
        place.tidy()
        before = place.descriptor
        _move(storage, place, to, mount, make_root)
    with open_device_storage(state, mount=mount, make_root=make_root):
        DevicePlace(state, mount, make_root).tidy()
    return before.root_of_trust


def _move(
    storage: DeviceStorage, place: DevicePlace, to: RootPlan, mount: Mount, make_root: RootMaker
) -> None:
    here, before = mount(place.state), place.descriptor
    make_folder(place.state / before.spare_folder)
    root = make_root(to, mount(place.state / before.spare_folder))
    after = Descriptor(to, before.spare_folder, to_erase=before.root_of_trust)
    write_descriptor(here, replace(before, to_erase=to))
    try:
        _burn(root)
    except BaseException:
        DevicePlace(place.state, mount, make_root).tidy_if_possible()
        raise
    storage.move(root, lambda: write_descriptor(here, after))


def _burn(root: RootOfTrust) -> None:
    root.burn()
    root.advance(Lifecycle.PSA_ROT_PROVISIONING)
    root.advance(Lifecycle.SECURED)
