"""Pull the plug at every moment of a boot with a secure element: one key in it, and the right one.

The element is one in memory, which loses power together with the disk and the network.
"""

from contextlib import suppress
from pathlib import Path

import pytest

from device.agent import Agent
from device.config.device_plan import plan_for
from device.errors.storage import DECOMMISSIONED
from device.lifecycle.journal import Identity
from device.lifecycle.reset import decommission
from device.storage.device_storage import open_device_storage
from device.storage.element import key_records
from device.storage.filesystem import Fs
from device.storage.keys import KeyId
from device.storage.lifecycle import Lifecycle
from tests.support.effort import one_in
from tests.support.errors import suppressed
from tests.support.fake_element import attach
from tests.support.fake_module import FakeModule
from tests.support.power import PowerCutError, PowerSupply
from tests.support.worlds import PATIENCE, Diary, MemoryWorld

SERIAL = "SN-1"


def boot(
    world: MemoryWorld, state: Path, module: FakeModule, supply: PowerSupply | None = None
) -> Identity:
    """Power the device and its element on until the device is proven."""
    supply = supply or PowerSupply()
    module.reboot(supply)

    def mount(folder: Path) -> Fs:
        return supply.mount(world.mount(folder))

    with open_device_storage(state, mount=mount) as storage:
        attach(storage, module)
        agent = Agent(
            storage,
            world.settings,
            plan_for(storage, world.settings, "test"),
            open_session=lambda *what: supply.session(world.open_session(*what)),
            clock=world.clock,
            observer=Diary(),
        )
        agent.boot(PATIENCE)
        assert agent.identity is not None
        return agent.identity


def assert_one_key_and_no_orphan(state: Path, module: FakeModule, world: MemoryWorld) -> None:
    module.supply = PowerSupply()
    with open_device_storage(state, mount=world.mount) as storage:
        keys = attach(storage, module)
        assert keys.keys() == ["device-key.1"]
        assert module.labels() == ["device-key.1"]
        assert len(module.objects) == 2, "a private and a public half"
        records = key_records.load(storage.ps)
        assert records is not None
        assert [key.name for key in records.keys] == ["device-key.1"]


def moments_of_a_boot(tmp_path: Path) -> int:
    world, module, supply = MemoryWorld(), FakeModule(), PowerSupply()
    boot(world, world.make_device(tmp_path / "count", SERIAL), module, supply)
    return supply.moments


def test_one_cut_at_every_moment(tmp_path: Path) -> None:
    moments = moments_of_a_boot(tmp_path)
    assert moments > 150, "the flow has more steps than this: the supply does not see them"
    for moment in one_in(2, range(1, moments + 1)):
        world, module = MemoryWorld(), FakeModule()
        state = world.make_device(tmp_path / f"{moment}", SERIAL)
        with pytest.raises(PowerCutError):
            boot(world, state, module, PowerSupply(cut_at=moment))

        identity = boot(world, state, module)

        assert world.registry(SERIAL).active_certificates == [identity.certificate_id], moment
        assert_one_key_and_no_orphan(state, module, world)


def test_a_second_cut_while_the_first_is_repaired(tmp_path: Path) -> None:
    moments = moments_of_a_boot(tmp_path)
    for moment in one_in(2, range(1, moments + 1, 3)):
        world, module = MemoryWorld(), FakeModule()
        state = world.make_device(tmp_path / f"{moment}", SERIAL)
        for cut_at in (moment, 1 + (moment * 7) % (moments // 2)):
            with suppress(PowerCutError):  # the second may come too late to hit
                boot(world, state, module, PowerSupply(cut_at=cut_at))

        boot(world, state, module)

        assert_one_key_and_no_orphan(state, module, world)


def test_a_cut_while_a_key_is_destroyed(tmp_path: Path) -> None:
    """The records give a key up before the element does: no cut leaves a name without its key."""
    for moment in range(1, 1_000):
        world, module = MemoryWorld(), FakeModule()
        state = world.make_device(tmp_path / f"{moment}", SERIAL)
        boot(world, state, module)
        supply = PowerSupply(cut_at=moment)
        module.reboot(supply)
        was_cut = destroy_key(state, module, world, supply)
        module.reboot(PowerSupply())
        with open_device_storage(state, mount=world.mount) as storage:
            keys = attach(storage, module)
            labels = ["device-key.1"] if keys.keys() else []
            assert module.labels() == labels, moment
        if not was_cut:
            return
    pytest.fail("the supply was never left alone")


def destroy_key(state: Path, module: FakeModule, world: MemoryWorld, supply: PowerSupply) -> bool:
    """Destroy the device key; return whether the power was cut meanwhile."""

    def mount(folder: Path) -> Fs:
        return supply.mount(world.mount(folder))

    try:
        with open_device_storage(state, mount=mount) as storage:
            attach(storage, module).destroy_key(KeyId("device-key.1"))
    except PowerCutError:
        return True
    return False


def test_a_cut_while_a_life_is_ended(tmp_path: Path) -> None:
    """The element is emptied first, so no key is left there when nobody can name it any more."""
    for moment in range(1, 1_000):
        world, module = MemoryWorld(), FakeModule()
        state = world.make_device(tmp_path / f"{moment}", SERIAL)
        boot(world, state, module)
        supply = PowerSupply(cut_at=moment)
        module.reboot(supply)
        was_cut = True
        with suppress(PowerCutError):
            end_life(state, module, world, supply)
            was_cut = False
        module.reboot(PowerSupply())
        with suppressed(DECOMMISSIONED):
            end_life(state, module, world, PowerSupply())
        assert module.labels() == [], moment
        assert not decommission(state, mount=world.mount)
        if not was_cut:
            return
    pytest.fail("the supply was never left alone")


def end_life(state: Path, module: FakeModule, world: MemoryWorld, supply: PowerSupply) -> None:
    """Decommission a device with an element, as `decommission` does."""

    def mount(folder: Path) -> Fs:
        return supply.mount(world.mount(folder))

    with open_device_storage(state, mount=mount) as storage:
        attach(storage, module).erase()
        storage.advance(Lifecycle.DECOMMISSIONED)
