"""Move a storage from one root of trust to another: all of it, or nothing.

The new root is burned in the spare folder, and everything sealed under it, while the old one
still counts. One replacement of the descriptor turns it round. Then the second copy of the
image is made the same, and the old root is erased. After a cut, before or behind that moment,
the next opening erases the root that does not count.
"""

from functools import partial
from pathlib import Path

from device.storage.device_place import DevicePlace
from device.storage.device_storage import open_device_storage
from device.storage.filesystem import Mount, OsFs
from device.storage.roots.root_plan import RootMaker, RootPlan, make_root


def rewrap_device_storage(
    state: Path, to: RootPlan, *, mount: Mount = OsFs, make_root: RootMaker = make_root
) -> str:
    """Move the SECURED device in ``state`` to the root of trust ``to``; return the old kind.

    When it returns, the device has been opened under the new root, and nothing that is sealed
    under the old one is left in the state folder.

    Raises:
        RootOfTrustError, ElementError: one of the roots cannot be used. The device opens under
            the new one or under the old one, whole.
        StorageError: as for ``open_device_storage``.
    """
    open_device = partial(open_device_storage, state, mount=mount, make_root=make_root)
    with open_device() as storage:
        place, was = DevicePlace(state, mount, make_root), storage.root_of_trust.kind
        place.tidy()
        storage.move(place.begin_move(to), place.finish_move)
    with open_device():
        DevicePlace(state, mount, make_root).tidy()
    return was
