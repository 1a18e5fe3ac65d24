"""A node of the search over the end of a life: `decommission`, cut at any call on the disk."""

from collections.abc import Hashable
from dataclasses import dataclass, replace

from device.errors import FirstbootError
from device.errors.storage import DECOMMISSIONED
from device.lifecycle import journal
from device.lifecycle.reset import decommission
from device.storage.device_storage import open_device_storage
from device.storage.lifecycle import Lifecycle
from tests.exhaustive.device_node import DeviceNode
from tests.exhaustive.search import HONEST
from tests.support.memory_disk import MemoryDisk
from tests.support.power import PowerCutError, PowerSupply

LIVE_ON = "live on"


@dataclass(frozen=True)
class EndNode:
    """A device that lives, or whose end was begun; home is that nobody can read it any more."""

    living: DeviceNode
    disk: MemoryDisk
    has_begun: bool = False
    has_ended: bool = False

    @property
    def key(self) -> Hashable:
        files = tuple(sorted((place[0].name, place[1]) for place in self.disk.places()))
        sizes = tuple(len(self.disk.content(*place)) for place in sorted(self.disk.places()))
        return self.living.key, self.has_begun, self.has_ended, files, sizes

    @property
    def is_home(self) -> bool:
        return self.has_ended

    def moves(self) -> list[str]:
        names = [HONEST]
        if not self.has_begun and not self.living.is_home:
            names.append(LIVE_ON)
        return names + [f"cut at {moment}" for moment in range(1, self._moments() + 1)]

    def after(self, move: str, /) -> "EndNode":
        if move == LIVE_ON:
            living = self.living.after(HONEST)
            return EndNode(living, living.disk)
        cut = None if move == HONEST else int(move.rpartition(" ")[2])
        disk = self.disk.with_file([], b"")
        node = replace(self, disk=disk, has_begun=True)
        try:
            node._decommission(PowerSupply(cut))
        except PowerCutError:
            return node
        return replace(node, has_ended=True)

    def broken_rules(self) -> list[str]:
        if not self.has_ended:
            return []
        names = {name for _, name in self.disk.places()}
        rules = {
            "an image is left": any(name.startswith("image") for name in names),
            "something opens it": self._opens(),
        }
        return [rule for rule, is_broken in rules.items() if is_broken]

    def _moments(self) -> int:
        supply = PowerSupply()
        replace(self, disk=self.disk.with_file([], b""))._decommission(supply)
        return supply.moments

    def _decommission(self, supply: PowerSupply) -> None:
        decommission(self.living.scene.state, mount=lambda at: supply.mount(self.disk.mount(at)))

    def _opens(self) -> bool:
        state = self.living.scene.state
        try:
            with open_device_storage(state, read_only=True, mount=self.disk.mount) as storage:
                assert storage.lifecycle is Lifecycle.DECOMMISSIONED
                journal.load_identity(storage.ps)
        except FirstbootError as error:
            return error.row is not DECOMMISSIONED
        return True
