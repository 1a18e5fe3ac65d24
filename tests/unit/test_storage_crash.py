"""Whatever the moment of a power cut, is the storage the acknowledged one or the next?

``pytest --log-cli-level=info`` shows how many disks were tried.
"""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from device.errors.storage import (
    DECOMMISSIONED,
    DataCorruptError,
    StorageExistsError,
    StorageMissingError,
)
from device.storage.device_storage import DeviceStorage
from device.storage.image import Sealer
from device.storage.keys import KeyId, KeyType
from device.storage.lifecycle import Lifecycle
from device.storage.secure_storage import StorageFlag, Uid
from tests.support.crash_states import CrashState, Exploration, crash_states, explore
from tests.support.effort import is_long, one_in
from tests.support.errors import raises
from tests.support.fake_tpm import FOLDER as CHIP
from tests.support.recording_fs import Acknowledged, Content, RecordingDisk
from tests.support.roots import RootBench

logger = logging.getLogger(__name__)

UNFINISHED = "unfinished"
TAKEN_OUT = "decommissioned"
WITNESS = 0x7777
SECRET = 0x99

State = dict[tuple[str, int], bytes] | str


def held_by(storage: DeviceStorage) -> State:
    services = {"its": storage.its, "ps": storage.ps}
    return {(name, uid): s.get(uid) for name, s in services.items() for uid in s.uids()}


def seen(root: RootBench, state: Path, disk: RecordingDisk) -> State:
    """What a process finds that only looks."""
    try:
        with root.open(state, read_only=True, mount=disk.mount) as storage:
            if storage.lifecycle is Lifecycle.DECOMMISSIONED:
                return TAKEN_OUT
            return held_by(storage) if storage.lifecycle is Lifecycle.SECURED else UNFINISHED
    except StorageMissingError:
        return UNFINISHED


def live(root: RootBench, state: Path, disk: RecordingDisk) -> None:
    """From blank fuses to decommissioned, with every kind of commit between."""
    disk.acknowledge(UNFINISHED)
    with root.create(state, mount=disk.mount) as storage:
        storage.advance(Lifecycle.PSA_ROT_PROVISIONING)
        with storage.transaction():
            storage.its.set(Uid.SERIAL_NUMBER, b"SN-1", StorageFlag.WRITE_ONCE)
            storage.keys.generate_key(KeyId("claim-key"), KeyType.EC_P256)
        storage.advance(Lifecycle.SECURED)
        disk.acknowledge(held_by(storage))
    with root.open(state, mount=disk.mount) as storage:
        storage.ps.set(Uid.PROVISIONING_JOURNAL, b"keyed")
        disk.acknowledge(held_by(storage))
        with storage.transaction():
            storage.its.set(SECRET, b"secret")
            storage.ps.set(Uid.PROVISIONING_JOURNAL, b"certificate staged")
            storage.ps.set(Uid.STAGED_CERTIFICATE, bytes(300))
        disk.acknowledge(held_by(storage))
        storage.ps.remove(Uid.STAGED_CERTIFICATE)
        disk.acknowledge(held_by(storage))
        with storage.transaction():
            storage.its.remove(SECRET)
            storage.keys.destroy_key(KeyId("claim-key"))
            storage.ps.set(Uid.PROVISIONING_JOURNAL, b"proven")
        disk.acknowledge(held_by(storage))
        storage.ps.set(Uid.DEVICE_CONFIGURATION, b"{}")
        disk.acknowledge(held_by(storage))
        storage.advance(Lifecycle.DECOMMISSIONED)
        disk.acknowledge(TAKEN_OUT)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Only the lock lies here; all else is on the recording disk."""
    (tmp_path / "device" / "storage").mkdir(parents=True)
    return tmp_path / "device"


@pytest.fixture
def life(root: RootBench, state: Path) -> RecordingDisk:
    disk = RecordingDisk()
    live(root, state, disk)
    return disk


def unsealed(root: RootBench, content: Content) -> dict[str, dict[tuple[str, int], bytes]]:
    """Every file of the storage that opens with the device's own keys, whatever its name."""
    sealer = Sealer(root.root(RecordingDisk(content).mount(Path("fuses"))))
    found = {}
    for name, image in content["storage"].items():
        try:
            found[name] = {
                (service.name.lower(), uid): entry.data
                for (service, uid), entry in sealer.unseal(image)[1].items()
            }
        except DataCorruptError:
            continue
    return found


def check_secured(root: RootBench, state: Path, disk: RecordingDisk, held: State) -> None:
    assert not isinstance(held, str)
    with root.open(state, mount=disk.mount) as storage:
        assert held_by(storage) == held
        copies = unsealed(root, disk.content())
        assert copies["image-a"] == copies["image-b"] == held
        storage.ps.set(WITNESS, b"still takes a write")
    assert seen(root, state, disk) == {**held, ("ps", WITNESS): b"still takes a write"}


def check_unfinished(root: RootBench, state: Path, disk: RecordingDisk) -> None:
    with root.create(state, mount=disk.mount) as storage:
        storage.ps.set(WITNESS, b"made again")
        assert held_by(storage) == {("ps", WITNESS): b"made again"}


def check_decommissioned(root: RootBench, state: Path, disk: RecordingDisk) -> None:
    assert b"destroyed\n" in disk.content()["fuses"].values()
    assert not any(len(data) == 32 for data in disk.content()["fuses"].values())
    with raises(DECOMMISSIONED):
        root.open(state, mount=disk.mount)
    assert not disk.content().get(CHIP), "what the TPM held is gone, too"
    with pytest.raises(StorageExistsError):
        root.create(state, mount=disk.mount)


def check(root: RootBench, state: Path, crash: CrashState) -> None:
    disk = RecordingDisk(crash.disk)
    held = seen(root, state, disk)
    assert held in crash.allowed
    if held == UNFINISHED:
        check_unfinished(root, state, disk)
    elif held == TAKEN_OUT:
        check_decommissioned(root, state, disk)
    else:
        check_secured(root, state, disk, held)


def power_cuts(root: RootBench, state: Path, life: RecordingDisk) -> Exploration:
    return explore(crash_states(life), lambda crash: check(root, state, crash))


def test_every_power_cut_leaves_the_acknowledged_state_or_the_next(
    root: RootBench, state: Path, life: RecordingDisk
) -> None:
    result = power_cuts(root, state, life)
    logger.info("%d crash states explored", result.states)
    assert result.violations == []
    assert result.states > 300


def recoveries(root: RootBench, state: Path, life: RecordingDisk) -> Iterator[CrashState]:
    """Cut the power again, anywhere in the recovery and the first commit after a cut."""
    for crash in crash_states(life):
        disk = RecordingDisk(crash.disk)
        held = seen(root, state, disk)
        disk.acknowledge(held)
        if held == UNFINISHED:
            check_unfinished(root, state, disk)
        elif not isinstance(held, str):
            check_secured(root, state, disk, held)
            disk.acknowledge(seen(root, state, disk))
        yield from crash_states(disk)


def kills(root: RootBench, state: Path, life: RecordingDisk) -> Iterator[CrashState]:
    """Kill the process anywhere; let the next one write; cut its power anywhere."""
    for cut in range(len(life.operations) + 1):
        disk = life.after_a_killed_process(life.operations[:cut])
        held = seen(root, state, disk)
        if isinstance(held, str):
            continue
        with root.open(state, mount=disk.mount) as storage:
            disk.acknowledge(held)
            storage.ps.set(WITNESS, b"after a kill")
            disk.acknowledge(held_by(storage))
        yield from crash_states(disk, first_cut=cut)


@pytest.mark.parametrize("root", ["file", "tpm"], indirect=True)
@pytest.mark.parametrize("before", [recoveries, kills])
def test_a_power_cut_does_no_harm_after_another_cut_or_a_kill(
    before: Callable[[RootBench, Path, RecordingDisk], Iterator[CrashState]],
    root: RootBench,
    state: Path,
    life: RecordingDisk,
) -> None:
    def check_seen(crash: CrashState) -> None:
        assert seen(root, state, RecordingDisk(crash.disk)) in crash.allowed

    result = explore(one_in(7, before(root, state, life)), check_seen)
    logger.info("%d crash states explored after %s", result.states, before.__name__)
    assert result.violations == []
    assert result.states > (5_000 if is_long() else 600)


def test_a_destroyed_secret_is_in_no_file_once_the_device_is_open_again(
    root: RootBench, state: Path, life: RecordingDisk
) -> None:
    secret = ("its", SECRET)
    stored = next(
        cut
        for cut, operation in enumerate(life.operations)
        if isinstance(operation, Acknowledged)
        and isinstance(operation.state, dict)
        and secret in operation.state
    )
    destroyed_in = 0
    for crash in crash_states(life, first_cut=stored + 1):
        disk = RecordingDisk(crash.disk)
        held = seen(root, state, disk)
        if isinstance(held, str) or secret in held:
            continue
        destroyed_in += 1
        root.open(state, mount=disk.mount).close()
        assert not any(secret in entries for entries in unsealed(root, disk.content()).values())
    assert destroyed_in > 30
