"""Does a storage move from one root of trust to another whole, whatever is cut or fails?"""

import logging
from itertools import permutations
from pathlib import Path

import pytest

from device.errors.root_of_trust import CREDENTIAL_MISSING, TpmError
from device.errors.storage import (
    NOT_PERMITTED,
    STORAGE_FAILURE,
    LifecycleError,
    StorageError,
)
from device.storage.device_place import DevicePlace
from device.storage.device_storage import DeviceStorage, create_device_storage
from device.storage.filesystem import OsFs
from device.storage.keys import KeyId, KeyType
from device.storage.lifecycle import Lifecycle
from device.storage.roots.descriptor import NAME, Descriptor, read_descriptor
from device.storage.roots.root_plan import FILE, CredentialPlan, RootPlan
from device.storage.secure_storage import Uid
from factory.making.rewrap import rewrap_device_storage
from tests.support.crash_states import CrashState, crash_states, explore
from tests.support.effort import one_in
from tests.support.errors import raises
from tests.support.fake_tpm import FOLDER as CHIP
from tests.support.recording_fs import Fault, RecordingDisk
from tests.support.roots import PLANS, Hardware, RootBench

logger = logging.getLogger(__name__)

WITNESS = 0x7777
State = dict[tuple[str, int], bytes]

CONTENT: State = {("its", Uid.SERIAL_NUMBER): b"SN-1", ("ps", Uid.ENDPOINT): b"here:8883"}
PAIRS = [*permutations(["file", "systemd-credential", "tpm"], 2), ("tpm", "tpm"), ("file", "file")]
FUSES = ("fuses", "fuses-2")


@pytest.fixture
def board(tmp_path: Path) -> Hardware:
    return Hardware(tmp_path / "board")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Only the lock lies here; all else is on the recording disk."""
    (tmp_path / "device" / "storage").mkdir(parents=True)
    return tmp_path / "device"


def plan_of(kind: str, board: Hardware) -> RootPlan:
    return PLANS[kind](board)


def held_by(storage: DeviceStorage) -> State:
    services = {"its": storage.its, "ps": storage.ps}
    return {(name, uid): s.get(uid) for name, s in services.items() for uid in s.uids()}


def made_on(bench: RootBench, state: Path, disk: RecordingDisk) -> RecordingDisk:
    bench.make_device(state, disk.mount)
    with bench.open(state, mount=disk.mount) as storage:
        storage.ps.set(Uid.ENDPOINT, b"here:8883")
    return disk


def move(bench: RootBench, to: RootPlan, state: Path, disk: RecordingDisk) -> str:
    return rewrap_device_storage(state, to, mount=disk.mount, make_root=bench.make_root)


def burned_folders(disk: RecordingDisk) -> list[str]:
    return [folder for folder in FUSES if disk.content().get(folder)]


def check_whole(bench: RootBench, state: Path, disk: RecordingDisk, *kinds: str) -> None:
    """The device is all there under one of the ``kinds``, and nothing is left of another root."""
    with bench.open(state, read_only=True, mount=disk.mount) as storage:
        assert held_by(storage) == CONTENT
    with bench.open(state, mount=disk.mount) as storage:
        kind = storage.root_of_trust.kind
        assert kind in kinds
        storage.ps.set(WITNESS, b"still takes a write")
    with bench.open(state, mount=disk.mount) as storage:
        written: State = {("ps", WITNESS): b"still takes a write"}
        assert held_by(storage) == CONTENT | written
    assert len(burned_folders(disk)) == 1
    assert len(disk.content().get(CHIP, {})) == (kind == "tpm")


@pytest.mark.parametrize(("before", "after"), list(permutations(PLANS, 2)))
def test_a_device_moves_whole(before: str, after: str, board: Hardware, state: Path) -> None:
    bench = RootBench.of(before, board)
    disk = made_on(bench, state, RecordingDisk())

    assert move(bench, plan_of(after, board), state, disk) == before

    check_whole(bench, state, disk, after)


@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_a_power_cut_leaves_the_old_root_or_the_new_and_all_entries(
    before: str, after: str, board: Hardware, state: Path
) -> None:
    bench = RootBench.of(before, board)
    disk = RecordingDisk(made_on(bench, state, RecordingDisk()).content())
    disk.acknowledge(before)
    move(bench, plan_of(after, board), state, disk)
    disk.acknowledge(after)

    def check(crash: CrashState) -> None:
        allowed = [str(kind) for kind in crash.allowed]
        check_whole(bench, state, RecordingDisk(crash.disk), *allowed)

    result = explore(crash_states(disk), check)
    logger.info("%d crash states explored", result.states)
    assert result.violations == []
    assert result.states > 100


@pytest.mark.parametrize(("before", "after"), [("file", "tpm"), ("tpm", "file")])
def test_a_kill_and_then_a_power_cut_do_no_harm(
    before: str, after: str, board: Hardware, state: Path
) -> None:
    bench = RootBench.of(before, board)
    life = RecordingDisk(made_on(bench, state, RecordingDisk()).content())
    move(bench, plan_of(after, board), state, life)

    for cut in one_in(4, range(len(life.operations) + 1)):
        disk = life.after_a_killed_process(life.operations[:cut])
        disk.acknowledge("killed")
        bench.open(state, mount=disk.mount).close()
        result = explore(
            crash_states(disk, first_cut=cut),
            lambda crash: check_whole(bench, state, RecordingDisk(crash.disk), before, after),
        )
        assert result.violations == []


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize(("before", "after"), [("file", "tpm"), ("tpm", "file")])
def test_a_fault_of_the_disk_anywhere_loses_nothing(
    before: str, after: str, fault: Fault, board: Hardware, state: Path
) -> None:
    bench = RootBench.of(before, board)
    content, call, failures = made_on(bench, state, RecordingDisk()).content(), 0, 0
    while True:
        disk = RecordingDisk(content)
        disk.faults = {call: fault}
        try:
            move(bench, plan_of(after, board), state, disk)
        except StorageError:
            failures += 1
        if disk.calls <= call:
            break
        disk.faults.clear()
        check_whole(bench, state, disk, before, after)
        call += 1
    assert failures > 5


def refuse_once(board: Hardware, call: str) -> None:
    calls = [call]

    def refuse(name: str) -> None:
        if name in calls:
            calls.remove(name)
            raise TpmError(response=0x101)

    board.tpm.before = refuse


@pytest.mark.parametrize("call", ["seal", "unseal", "define", "extend"])
def test_a_tpm_that_fails_while_it_is_burned_is_left_as_it_was(
    call: str, board: Hardware, state: Path
) -> None:
    bench = RootBench.of("file", board)
    bench.make_device(state)
    refuse_once(board, call)

    with pytest.raises(TpmError):
        rewrap_device_storage(state, plan_of("tpm", board), make_root=bench.make_root)

    assert board.tpm.memory.held() == {}
    assert list((state / "fuses-2").iterdir()) == []
    assert read_descriptor(OsFs(state)) == Descriptor()
    with bench.open(state) as storage:
        assert storage.root_of_trust.kind == "file"


def test_a_tpm_that_fails_later_is_erased_at_the_next_opening(board: Hardware, state: Path) -> None:
    bench = RootBench.of("file", board)
    bench.make_device(state)
    refuse_once(board, "read")

    with pytest.raises(TpmError):
        rewrap_device_storage(state, plan_of("tpm", board), make_root=bench.make_root)

    with bench.open(state) as storage:
        assert storage.root_of_trust.kind == "file"
    assert board.tpm.memory.held() == {}


def test_a_storage_that_may_have_moved_must_be_opened_again(board: Hardware, state: Path) -> None:
    bench = RootBench.of("file", board)
    bench.make_device(state)

    def unsure() -> None:
        raise STORAGE_FAILURE.error("the folder was not synced")

    with bench.open(state) as storage:
        root = DevicePlace(state, OsFs, bench.make_root).begin_move(plan_of("tpm", board))
        with raises(STORAGE_FAILURE, match="not synced"):
            storage.move(root, unsure)
        with raises(STORAGE_FAILURE, match="was interrupted"):
            storage.ps.set(WITNESS, b"under which root?")


def test_an_old_root_that_is_out_of_reach_is_erased_later(
    board: Hardware, state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bench = RootBench.of("tpm", board)
    bench.make_device(state)

    def refuse(name: str) -> None:
        if name == "remove":
            raise TpmError(response=0x101)

    board.tpm.before = refuse  # each time: the opening after the move tries it, too
    with pytest.raises(TpmError):
        rewrap_device_storage(state, FILE, make_root=bench.make_root)
    assert "is not yet erased" in caplog.text
    board.tpm.before = lambda _: None

    with bench.open(state) as storage:
        assert storage.root_of_trust.kind == "file"
    assert board.tpm.memory.held() == {}


def test_a_root_that_cannot_be_used_is_never_moved_to(board: Hardware, state: Path) -> None:
    bench = RootBench.of("file", board)
    bench.make_device(state)
    with raises(CREDENTIAL_MISSING):
        rewrap_device_storage(state, CredentialPlan("nowhere"), make_root=bench.make_root)
    with bench.open(state) as storage:
        assert storage.root_of_trust.kind == "file"
    assert list((state / "fuses-2").iterdir()) == []


def test_the_keys_of_a_device_move_along(board: Hardware, state: Path) -> None:
    bench = RootBench.of("file", board)
    bench.make_device(state)
    with bench.open(state) as storage:
        storage.keys.generate_key(KeyId("device-key.1"), KeyType.EC_P256)
        public_key = storage.keys.export_public_key(KeyId("device-key.1"))

    rewrap_device_storage(state, plan_of("tpm", board), make_root=bench.make_root)

    with bench.open(state) as storage:
        assert storage.keys.export_public_key(KeyId("device-key.1")) == public_key


def test_the_old_root_key_is_gone_from_the_state_folder(board: Hardware, state: Path) -> None:
    bench = RootBench.of("file", board)
    bench.make_device(state)
    key = (state / "fuses" / "huk").read_bytes()

    rewrap_device_storage(state, plan_of("tpm", board), make_root=bench.make_root)

    files = [path for path in state.rglob("*") if path.is_file()]
    assert files
    assert not any(key in path.read_bytes() for path in files)


def test_an_unfinished_device_does_not_move(board: Hardware, state: Path) -> None:
    create_device_storage(state).close()
    with pytest.raises(LifecycleError):
        rewrap_device_storage(state, plan_of("tpm", board), make_root=board.make_root)
    assert not (state / NAME).exists()


def test_a_storage_that_is_open_for_reading_does_not_move(board: Hardware, state: Path) -> None:
    bench = RootBench.of("file", board)
    bench.make_device(state)
    with bench.open(state, read_only=True) as storage, raises(NOT_PERMITTED):
        storage.move(storage.root_of_trust, lambda: None)


def test_a_moved_device_is_decommissioned_as_any_other(board: Hardware, state: Path) -> None:
    bench = RootBench.of("file", board)
    bench.make_device(state)
    rewrap_device_storage(state, plan_of("tpm", board), make_root=bench.make_root)
    with bench.open(state) as storage:
        storage.advance(Lifecycle.DECOMMISSIONED)
    assert board.tpm.memory.held() == {}
