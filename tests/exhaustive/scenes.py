"""Where each search begins: a device as the station hands it over, for each method."""

from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from device.config.device_plan import plan_for
from device.config.methods import METHODS, MachineKind
from device.config.settings import Settings
from device.lifecycle import journal
from device.lifecycle.journal import Keyed
from device.provisioning.claim import ClaimMachine
from device.provisioning.machine import AnyMachine
from device.provisioning.presented import PresentedMachine, PresentedPlan
from device.storage.device_storage import DeviceStorage, open_device_storage
from device.storage.keys import BIRTH_KEY
from device.storage.secure_storage import Uid
from tests.exhaustive.device_node import SERIAL, DeviceNode, Scene
from tests.exhaustive.life_node import LifeNode
from tests.support.memory_disk import MemoryDisk
from tests.support.worlds import MemoryWorld, boot

SEARCHES: Final = {
    "claim": "claim",
    "claim, losses only": "claim",
    "claim-aws-keys": "claim-aws-keys",
    "trusted-user": "trusted-user",
    "jitp": "jitp",
    "single-thing": "single-thing",
}
"""Searches by name, and their method. The other methods run these machines with other words:
claim-own-ca as claim; jitr as jitp; bulk and multi-account as single-thing."""

LOSSES_ONLY: Final = "claim, losses only"
"""The strictest cloud: it takes no token twice, and its hook lets each serial in once."""


def start(name: str, folder: Path) -> DeviceNode:
    """Return where the search ``name`` begins; ``folder`` is for the lock files alone."""
    method = METHODS[SEARCHES[name]]
    world = MemoryWorld()
    disk = MemoryDisk()
    world.mount = disk.mount
    world.settings = msgspec.structs.replace(world.settings, method=method.name)
    world.cloud.used_tokens_are_refused = True
    world.cloud.hook_allows_each_serial_once = name == LOSSES_ONLY
    state, leaf = folder / "device", ""
    if method.machine is MachineKind.PRESENTED:
        leaf = world.make_device_with_leaf(state, SERIAL)
        world.cloud.activation_delay = 1.0 if method.just_in_time else None
    else:
        world.make_device(state, SERIAL)
    scene = Scene(
        method=method.name,
        state=state,
        machine=_MachineOf(world.settings),
        lies=name != LOSSES_ONLY,
        needs_user=method.name == "trusted-user",
        leaf_pem=leaf,
        just_in_time=method.just_in_time,
        settings=world.settings,
    )
    nothing = ClaimMachine.__new__(ClaimMachine)  # replaced at power-on
    node = DeviceNode(scene, disk, world.cloud, world.clock, nothing)
    return node.powered_on().summed_up()


class _MachineOf:
    """Chooses the machine as `device.agent.Agent` does."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __call__(self, storage: DeviceStorage, claim_at_hand: bool, /) -> AnyMachine:
        plan = plan_for(storage, self._settings, "test").machine
        if isinstance(plan, PresentedPlan):
            return PresentedMachine(plan)
        progress = journal.load(storage.ps)
        has_key = isinstance(progress, Keyed) or getattr(progress, "csr_pem", None) is not None
        by_aws = plan.keys_made_by_aws and not has_key
        return ClaimMachine(replace(plan, keys_made_by_aws=by_aws, claim_at_hand=claim_at_hand))


LIVES: Final = ("renewal", "renewal, losses only", "recovery", "reset")
"""Searches that begin with a proven device."""


def proven(name: str, folder: Path) -> DeviceNode:
    """Return where the search ``name`` of `LIVES` begins."""
    world, disk = MemoryWorld(), MemoryDisk()
    world.mount = disk.mount
    world.cloud.used_tokens_are_refused = True
    state = world.make_device(folder / "device", SERIAL)
    if name == "recovery":
        _give_birth_certificate(world, state)
    identity = boot(world, state)
    scene = Scene(
        method="claim",
        state=state,
        machine=_MachineOf(world.settings),
        lies=name != "renewal, losses only",
        settings=world.settings,
        resets=name == "reset",
        has_birth_certificate=name == "recovery",
    )
    nothing = ClaimMachine.__new__(ClaimMachine)  # replaced at power-on
    node = LifeNode(
        scene, disk, world.cloud, world.clock, nothing, proofs=frozenset({identity.certificate_id})
    )
    return node.powered_on().summed_up()


def _give_birth_certificate(world: MemoryWorld, state: Path) -> None:
    pem, key_pem = world.cloud.recovery.give_birth_certificate(SERIAL)
    with open_device_storage(state, mount=world.mount) as storage:
        storage.ps.set(Uid.BIRTH_CERTIFICATE, pem.encode())
        storage.keys.import_key(BIRTH_KEY, key_pem.encode())
