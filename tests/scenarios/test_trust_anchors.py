"""R7: new trust anchors are used only after a connection proved them; whatever fails, old stay."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from device.agent import Agent
from device.config.device_plan import plan_for
from device.errors import StoppedError
from device.errors.storage import StorageError
from device.identity.trust_anchors import MAX_BUNDLE_BYTES
from device.lifecycle.reset import reset
from device.operation.deeds import Done, Renew, ReplaceTrustAnchors
from device.operation.task import Order, QuietTask
from device.provisioning.events import Event
from device.runtime.trust_anchors import TrustAnchors
from device.storage.capacity import CAPACITY, PROVISIONING_ROOM
from device.storage.device_storage import open_device_storage
from device.storage.filesystem import Fs
from device.storage.secure_storage import Uid
from tests.support.certificates import DeviceAuthority
from tests.support.clock import FakeClock
from tests.support.effort import one_in
from tests.support.power import PowerCutError, PowerSupply
from tests.support.recording_fs import Fault, RecordingDisk
from tests.support.worlds import PATIENCE, Diary, MemoryWorld, boot

SERIAL = "SN-1"
ROOT = DeviceAuthority("the root in use").certificate_pem
OTHER = DeviceAuthority("another root").certificate_pem
BOTH = ROOT + OTHER


class Replace(QuietTask):
    """Orders new trust anchors as the job does; stops the device a second after the outcome."""

    def __init__(self, clock: FakeClock, bundle: bytes, *others: Order) -> None:
        self._clock = clock
        self._end = clock.monotonic() + 300.0
        self._orders: list[Order] = [*others, ReplaceTrustAnchors("it", bundle.decode("latin-1"))]
        self.outcome: Done | None = None

    def on_connected(self) -> Sequence[Order]:
        orders, self._orders = self._orders, []
        return orders

    def on_fact(self, fact: Event) -> Sequence[Order]:
        if isinstance(fact, Done) and fact.ticket == "it":
            self.outcome = fact
            self._end = self._clock.monotonic() + 1.0
        return []

    def next_due(self) -> float:
        return self._end

    def on_due(self, now: float) -> Sequence[Order]:
        raise StoppedError("the test is over")


@pytest.fixture
def provisioned(memory: MemoryWorld, tmp_path: Path) -> Path:
    return made(memory, tmp_path / "device")


def made(world: MemoryWorld, state: Path) -> Path:
    """Make and boot a device that trusts `ROOT`, in a cloud that has it."""
    world.make_device(state, SERIAL)
    with open_device_storage(state, mount=world.mount) as storage:
        storage.ps.set(Uid.ROOT_CA, ROOT)
    world.cloud.root = ROOT
    boot(world, state)
    return state


def operate(
    world: MemoryWorld, state: Path, task: Replace, supply: PowerSupply | None = None
) -> Done:
    """Run the device until ``task`` stops it; return what became of the trust anchors."""
    supply = supply or PowerSupply()

    def mount(folder: Path) -> Fs:
        return supply.mount(world.mount(folder))

    with open_device_storage(state, mount=mount) as storage:
        agent = Agent(
            storage,
            world.settings,
            plan_for(storage, world.settings, "test"),
            open_session=lambda *what: supply.session(world.open_session(*what)),
            clock=world.clock,
            observer=Diary(),
        )
        agent.boot(PATIENCE)
        agent.operate(task)
        agent.session.close()
    assert task.outcome is not None
    return task.outcome


def replace(world: MemoryWorld, state: Path, bundle: bytes) -> Done:
    return operate(world, state, Replace(world.clock, bundle))


def stored(world: MemoryWorld, state: Path) -> tuple[bytes, bool]:
    """Return the trust anchors in use, and whether others are staged."""
    with open_device_storage(state, read_only=True, mount=world.mount) as storage:
        return storage.ps.get(Uid.ROOT_CA), Uid.STAGED_ROOT_CA in storage.ps.uids()


def test_trust_anchors_that_a_connection_proved_are_used(
    memory: MemoryWorld, provisioned: Path
) -> None:
    outcome = replace(memory, provisioned, b"a remark\n" + BOTH)

    assert outcome.problem == ""
    assert stored(memory, provisioned) == (BOTH, False)
    assert memory.cloud.connects[-1][1] == f"renew-{SERIAL}"  # beside the one that operates


def test_trust_anchors_that_no_connection_proves_are_removed(
    memory: MemoryWorld, provisioned: Path
) -> None:
    outcome = replace(memory, provisioned, OTHER)

    assert "FB-448" in outcome.problem
    assert "not in root_ca" in outcome.problem
    assert stored(memory, provisioned) == (ROOT, False)


@pytest.mark.parametrize(
    "fault", ["cut-after-hello", "cut-after-tls", "no-puback", "cut-on-publish", "taken-over"]
)
def test_only_a_puback_proves_trust_anchors(
    memory: MemoryWorld, provisioned: Path, fault: str
) -> None:
    memory.fault(fault, operation=f"renew-{SERIAL}")

    outcome = replace(memory, provisioned, BOTH)

    assert "FB-448" in outcome.problem
    assert stored(memory, provisioned) == (ROOT, False)


def test_the_next_connection_of_the_same_run_trusts_the_new_ones(
    memory: MemoryWorld, provisioned: Path
) -> None:
    class MovesOn(Replace):
        """When both are trusted the server changes its root, and the connection is lost."""

        times_connected = 0

        def on_connected(self) -> Sequence[Order]:
            self.times_connected += 1
            return super().on_connected()

        def on_fact(self, fact: Event) -> Sequence[Order]:
            super().on_fact(fact)
            memory.cloud.root = OTHER
            memory.fault("cut-on-publish")
            self._end = self._clock.monotonic() + 100.0
            return []

    device = MovesOn(memory.clock, BOTH)

    operate(memory, provisioned, device)

    assert device.times_connected == 2


def test_those_in_use_already_need_no_trial(memory: MemoryWorld, provisioned: Path) -> None:
    replace(memory, provisioned, BOTH)
    before = len(memory.cloud.connects)

    outcome = replace(memory, provisioned, BOTH)

    assert outcome == Done("it", {"trust_anchors": "in use already"})
    assert [client for _, client in memory.cloud.connects[before:]] == [SERIAL]


@pytest.mark.parametrize(
    ("bundle", "reason"),
    [
        (b"nothing", "no PEM certificate"),
        (ROOT[:300], "truncated"),
        (ROOT * (1 + MAX_BUNDLE_BYTES // len(ROOT)), "at most"),
    ],
)
def test_a_bundle_that_cannot_be_used_is_not_tried(
    memory: MemoryWorld, provisioned: Path, bundle: bytes, reason: str
) -> None:
    outcome = replace(memory, provisioned, bundle)

    assert "FB-449" in outcome.problem
    assert reason in outcome.problem
    assert stored(memory, provisioned) == (ROOT, False)


def test_a_bundle_leaves_room_for_the_next_certificate(
    memory: MemoryWorld, provisioned: Path
) -> None:
    with open_device_storage(provisioned, mount=memory.mount) as storage:
        storage.ps.set(Uid.ISSUER_CA, bytes(CAPACITY - PROVISIONING_ROOM - 6_000))

    outcome = replace(memory, provisioned, ROOT * (6_000 // len(ROOT)))

    assert "no room for the next certificate" in outcome.problem
    assert stored(memory, provisioned) == (ROOT, False)


def test_a_setting_that_names_a_file_is_not_overruled(
    memory: MemoryWorld, provisioned: Path, tmp_path: Path
) -> None:
    file = tmp_path / "root.pem"
    file.write_bytes(ROOT)
    memory.settings = msgspec.structs.replace(memory.settings, root_ca=str(file))

    outcome = replace(memory, provisioned, BOTH)

    assert "FB-449" in outcome.problem
    assert stored(memory, provisioned) == (ROOT, False)


def test_new_trust_anchors_during_a_renewal_are_told_so(
    memory: MemoryWorld, provisioned: Path
) -> None:
    outcome = operate(memory, provisioned, Replace(memory.clock, BOTH, Renew("first")))

    assert "FB-446" in outcome.problem
    assert stored(memory, provisioned) == (ROOT, False)


def test_a_disk_that_is_full_at_the_promotion_leaves_nothing_staged(
    memory: MemoryWorld, tmp_path: Path
) -> None:
    """What stays staged would count when the job comes again."""
    disk = RecordingDisk()
    memory.mount = disk.mount
    state = made(memory, tmp_path / "device")
    with open_device_storage(state, mount=disk.mount) as storage:
        anchors = TrustAnchors(storage, ROOT, are_fixed=False)
        anchors.stage(BOTH)
        disk.faults = dict.fromkeys(range(disk.calls, disk.calls + 2), Fault.NO_SPACE)
        with pytest.raises(StorageError):
            anchors.promote()

    assert stored(memory, state) == (ROOT, False)
    assert anchors.current == ROOT


def test_a_reset_forgets_what_was_not_proven(memory: MemoryWorld, provisioned: Path) -> None:
    with open_device_storage(provisioned, mount=memory.mount) as storage:
        storage.ps.set(Uid.STAGED_ROOT_CA, OTHER)
        reset(storage)

    assert stored(memory, provisioned) == (ROOT, False)


@pytest.mark.parametrize(("bundle", "may_become"), [(BOTH, {ROOT, BOTH}), (OTHER, {ROOT})])
def test_a_cut_at_every_moment_leaves_trust_anchors_that_work(
    tmp_path: Path, bundle: bytes, may_become: set[bytes]
) -> None:
    world, supply = MemoryWorld(), PowerSupply()
    state = made(world, tmp_path / "count")
    operate(world, state, Replace(world.clock, bundle), supply)
    assert supply.moments > 30, "the flow has more steps than this: the supply does not see them"
    seen = set()
    for moment in one_in(2, range(1, supply.moments + 1)):
        world = MemoryWorld()
        state = made(world, tmp_path / f"{moment}")
        with pytest.raises(PowerCutError):
            operate(world, state, Replace(world.clock, bundle), PowerSupply(cut_at=moment))
        seen.add(stored(world, state))
        assert stored(world, state)[0] in may_become

        again = replace(world, state, bundle)  # the job is at hand, and is done again

        assert bool(again.problem) == (bundle == OTHER)
        assert stored(world, state) == (ROOT if bundle == OTHER else bundle, False)
    assert (ROOT, True) in seen
    assert {anchors for anchors, _ in seen} == may_become


def test_what_a_cut_left_staged_is_removed_though_the_job_is_gone(
    memory: MemoryWorld, provisioned: Path
) -> None:
    with open_device_storage(provisioned, mount=memory.mount) as storage:
        storage.ps.set(Uid.STAGED_ROOT_CA, OTHER)

    replace(memory, provisioned, ROOT)

    assert stored(memory, provisioned) == (ROOT, False)
