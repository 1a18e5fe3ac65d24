"""Does the device's storage open when it may, and stay as it was when it may not?"""

import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from device.errors.storage import (
    DECOMMISSIONED,
    NOT_PERMITTED,
    STORAGE_BUSY,
    DataCorruptError,
    LifecycleError,
    StorageError,
    StorageExistsError,
    StorageMissingError,
)
from device.storage.device_storage import create_device_storage, open_device_storage
from device.storage.keys import KeyId, KeyType
from device.storage.lifecycle import Lifecycle
from device.storage.secure_storage import Uid
from tests.support.errors import raises
from tests.support.hang import SECONDS, line_from
from tests.support.recording_fs import Fault, RecordingDisk
from tests.support.sealed_device import make_device

JOURNAL = Uid.PROVISIONING_JOURNAL
KEY = KeyId("claim-key")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return make_device(tmp_path / "device")


def files(state: Path) -> dict[str, bytes]:
    return {str(p.relative_to(state)): p.read_bytes() for p in state.rglob("*") if p.is_file()}


class ChangeOfMindError(Exception):
    """What a caller raises inside a transaction."""


# --- made and opened ---------------------------------------------------------------


def test_a_new_device_is_empty_and_in_assembly(tmp_path: Path) -> None:
    with create_device_storage(tmp_path / "new") as storage:
        assert storage.lifecycle is Lifecycle.ASSEMBLY_AND_TEST
        assert (storage.its.uids(), storage.ps.uids(), storage.keys.keys()) == ([], [], [])
        assert storage.generation == 1


def test_everything_on_the_disk_is_private(state: Path) -> None:
    modes = {str(p.relative_to(state)): p.stat().st_mode & 0o777 for p in state.rglob("*")}
    assert modes == {
        "fuses": 0o700,
        "fuses/anchor": 0o600,
        "fuses/huk": 0o400,
        "fuses/lifecycle": 0o600,
        "storage": 0o700,
        "storage/image-a": 0o600,
        "storage/image-b": 0o600,
        "storage/lock": 0o600,
    }
    assert state.stat().st_mode & 0o777 == 0o700


def test_a_finished_device_is_never_made_anew(state: Path) -> None:
    before = files(state)
    with pytest.raises(StorageExistsError):
        create_device_storage(state)
    assert files(state) == before


def test_an_unfinished_device_is_made_anew(tmp_path: Path) -> None:
    with create_device_storage(tmp_path) as storage:
        storage.advance(Lifecycle.PSA_ROT_PROVISIONING)
        storage.its.set(Uid.SERIAL_NUMBER, b"first attempt")
    with create_device_storage(tmp_path) as storage:
        assert storage.lifecycle is Lifecycle.ASSEMBLY_AND_TEST
        assert storage.its.uids() == []


@pytest.mark.parametrize("read_only", [True, False])
def test_where_nothing_is_nothing_is_made(tmp_path: Path, read_only: bool) -> None:
    with pytest.raises(StorageMissingError, match="nowhere"):
        open_device_storage(tmp_path / "nowhere", read_only=read_only)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("steps", [[], [Lifecycle.PSA_ROT_PROVISIONING]])
def test_an_unfinished_device_opens_for_a_look_only(tmp_path: Path, steps: list[Lifecycle]) -> None:
    with create_device_storage(tmp_path) as storage:
        for step in steps:
            storage.advance(step)
        state = storage.lifecycle
    with pytest.raises(LifecycleError, match=f"{state.name}, not SECURED"):
        open_device_storage(tmp_path)
    with open_device_storage(tmp_path, read_only=True) as storage:
        assert storage.lifecycle is state
        assert storage.ps.uids() == []


def test_a_half_made_device_opens_for_a_look_and_says_what_it_is(tmp_path: Path) -> None:
    create_device_storage(tmp_path).close()
    (tmp_path / "fuses" / "anchor").unlink()
    with open_device_storage(tmp_path, read_only=True) as storage:
        assert storage.lifecycle is Lifecycle.ASSEMBLY_AND_TEST
        with pytest.raises(LifecycleError, match="ASSEMBLY_AND_TEST"):
            storage.its.get(Uid.SERIAL_NUMBER)


def test_a_secured_device_that_is_damaged_does_not_open_even_for_a_look(state: Path) -> None:
    (state / "storage" / "image-a").unlink()
    (state / "storage" / "image-b").unlink()
    with pytest.raises(DataCorruptError):
        open_device_storage(state, read_only=True)


@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize("there_is", ["nothing", "an empty folder", "a file"])
def test_a_storage_folder_that_is_not_there_is_to_be_brought_back(
    state: Path, there_is: str, read_only: bool
) -> None:
    (state / "storage").rename(state / "elsewhere")
    if there_is == "an empty folder":  # as where a disk is not mounted
        (state / "storage").mkdir()
    elif there_is == "a file":
        (state / "storage").write_bytes(b"x")
    with pytest.raises(DataCorruptError) as raised:
        open_device_storage(state, read_only=read_only)
    assert "mount the disk" in raised.value.next_step


def test_a_reader_changes_nothing(state: Path) -> None:
    before = files(state)
    with open_device_storage(state, read_only=True) as storage:
        for change in (
            lambda: storage.ps.set(JOURNAL, b""),
            lambda: storage.its.remove(Uid.SERIAL_NUMBER),
            lambda: storage.keys.generate_key(KEY, KeyType.EC_P256),
            lambda: storage.advance(Lifecycle.DECOMMISSIONED),
        ):
            with raises(NOT_PERMITTED, match="reading only"):
                change()
    assert files(state) == before


def test_a_closed_storage_holds_and_does_nothing(state: Path) -> None:
    with open_device_storage(state) as storage:
        pass
    storage.close()
    with raises(NOT_PERMITTED, match="closed"):
        storage.its.get(Uid.SERIAL_NUMBER)
    with raises(NOT_PERMITTED, match="closed"):
        storage.ps.set(JOURNAL, b"")


def test_opening_fails_without_keeping_the_lock(state: Path) -> None:
    anchor = (state / "fuses" / "anchor").read_bytes()
    (state / "fuses" / "anchor").write_bytes(b"damaged")
    for _ in range(2):
        with pytest.raises(DataCorruptError):
            open_device_storage(state)
    (state / "fuses" / "anchor").write_bytes(anchor)
    open_device_storage(state).close()


# --- one writer --------------------------------------------------------------------


def test_a_second_writer_is_refused_and_a_reader_is_not(state: Path) -> None:
    with open_device_storage(state):
        with raises(STORAGE_BUSY):
            open_device_storage(state)
        with raises(STORAGE_BUSY):
            create_device_storage(state)
        open_device_storage(state, read_only=True).close()
    open_device_storage(state).close()


def test_another_process_keeps_writers_out_until_it_dies(state: Path) -> None:
    program = (
        "import sys, pathlib; from device.storage.device_storage import open_device_storage;"
        "storage = open_device_storage(pathlib.Path(sys.argv[1]));"
        "storage.ps.set(0x20, b'by the other'); print(flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(state)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert line_from(other, other.stdout) == b"\n"
        with raises(STORAGE_BUSY):
            open_device_storage(state)
        other.send_signal(signal.SIGKILL)
        other.wait(SECONDS)
    with open_device_storage(state) as storage:
        assert storage.ps.get(JOURNAL) == b"by the other"


# --- transactions ------------------------------------------------------------------


def test_a_transaction_is_one_commit(state: Path) -> None:
    with open_device_storage(state) as storage:
        before = storage.generation
        with storage.transaction():
            for uid in range(1, 6):
                storage.ps.set(uid, b"data")
            storage.ps.remove(3)
            assert storage.ps.uids() == [1, 2, 4, 5]
        assert storage.generation == before + 1


def test_an_exception_leaves_memory_and_disk_as_they_were(state: Path) -> None:
    with open_device_storage(state) as storage:
        storage.ps.set(JOURNAL, b"before")
        storage.keys.generate_key(KEY, KeyType.EC_P256)
        on_disk = files(state)
        with suppress(ChangeOfMindError), storage.transaction():
            storage.ps.set(JOURNAL, b"after")
            storage.keys.destroy_key(KEY)
            raise ChangeOfMindError
        assert storage.ps.get(JOURNAL) == b"before"
        assert storage.keys.keys() == [KEY]
        assert files(state) == on_disk


def test_an_inner_transaction_joins_the_outer_one(state: Path) -> None:
    with open_device_storage(state) as storage:
        before = storage.generation
        with storage.transaction():
            storage.ps.set(1, b"outer")
            with storage.transaction():
                storage.ps.set(2, b"inner")
            assert storage.generation == before
        assert storage.generation == before + 1
        with suppress(ChangeOfMindError), storage.transaction():
            with storage.transaction():
                storage.ps.remove(2)
            raise ChangeOfMindError
        assert storage.ps.uids() == [1, 2]


def test_an_inner_failure_that_is_handled_takes_back_the_inner_part_only(state: Path) -> None:
    with open_device_storage(state) as storage:
        with storage.transaction():
            storage.ps.set(1, b"outer")
            with suppress(ChangeOfMindError), storage.transaction():
                storage.ps.set(2, b"inner")
                raise ChangeOfMindError
            storage.ps.set(3, b"outer again")
        assert storage.ps.uids() == [1, 3]
    with open_device_storage(state, read_only=True) as storage:
        assert storage.ps.uids() == [1, 3]


def test_an_action_after_the_commit_runs_when_all_is_durable(state: Path) -> None:
    found: list[bytes] = []

    def look() -> None:
        with open_device_storage(state, read_only=True) as reader:
            found.append(reader.ps.get(JOURNAL))

    with open_device_storage(state) as storage, storage.transaction():
        with storage.transaction():
            storage.after_commit(look)
            storage.ps.set(JOURNAL, b"inner")
        assert found == []
        storage.ps.set(JOURNAL, b"outer")
    assert found == [b"outer"]


def test_an_action_goes_with_the_transaction_that_asked_for_it(state: Path) -> None:
    ran: list[str] = []
    with open_device_storage(state) as storage:
        with storage.transaction():
            storage.after_commit(lambda: ran.append("outer"))
            with suppress(ChangeOfMindError), storage.transaction():
                storage.after_commit(lambda: ran.append("inner"))
                raise ChangeOfMindError
        with suppress(ChangeOfMindError), storage.transaction():
            storage.after_commit(lambda: ran.append("given up"))
            raise ChangeOfMindError
        storage.ps.set(JOURNAL, b"later")
    assert ran == ["outer"]


def test_closing_inside_a_transaction_commits_nothing(state: Path) -> None:
    before = files(state)
    storage = open_device_storage(state)

    def set_and_close() -> None:
        with storage.transaction():
            storage.ps.set(JOURNAL, b"data")
            storage.close()

    with raises(NOT_PERMITTED, match="closed"):
        set_and_close()
    assert files(state) == before
    with raises(NOT_PERMITTED, match="closed"):
        storage.its.uids()


def test_an_empty_transaction_writes_nothing(state: Path) -> None:
    with open_device_storage(state) as storage:
        before = files(state)
        with storage.transaction():
            pass
        assert files(state) == before


# --- the end -----------------------------------------------------------------------


def test_decommissioning_leaves_no_key_and_no_image(state: Path) -> None:
    root_key = (state / "fuses" / "huk").read_bytes()
    with open_device_storage(state) as storage:
        storage.keys.generate_key(KEY, KeyType.EC_P256)
        storage.advance(Lifecycle.DECOMMISSIONED)
        with raises(DECOMMISSIONED):
            storage.keys.keys()
        with raises(DECOMMISSIONED):
            storage.ps.set(JOURNAL, b"")
    left = files(state)
    assert sorted(left) == ["fuses/anchor", "fuses/huk", "fuses/lifecycle", "storage/lock"]
    assert root_key not in left.values()


def test_decommissioning_is_final(state: Path) -> None:
    with open_device_storage(state) as storage:
        storage.advance(Lifecycle.DECOMMISSIONED)
    with raises(DECOMMISSIONED):
        open_device_storage(state)
    with pytest.raises(StorageExistsError):
        create_device_storage(state)
    with open_device_storage(state, read_only=True) as storage:
        assert storage.lifecycle is Lifecycle.DECOMMISSIONED
        with raises(DECOMMISSIONED):
            storage.its.get(Uid.SERIAL_NUMBER)


def test_the_lifecycle_does_not_advance_inside_a_transaction(state: Path) -> None:
    with open_device_storage(state) as storage:
        with storage.transaction(), raises(NOT_PERMITTED, match="transaction"):
            storage.advance(Lifecycle.DECOMMISSIONED)
        assert storage.lifecycle is Lifecycle.SECURED


def test_the_entries_are_away_while_the_root_of_trust_is_debugged(state: Path) -> None:
    with open_device_storage(state) as storage:
        storage.advance(Lifecycle.RECOVERABLE_PSA_ROT_DEBUG)
        with pytest.raises(LifecycleError, match="RECOVERABLE_PSA_ROT_DEBUG"):
            storage.its.get(Uid.SERIAL_NUMBER)
    with open_device_storage(state, read_only=True) as storage:
        with pytest.raises(LifecycleError, match="RECOVERABLE_PSA_ROT_DEBUG"):
            storage.its.get(Uid.SERIAL_NUMBER)
        storage.root_of_trust.advance(Lifecycle.SECURED)
    with open_device_storage(state) as storage:
        assert storage.its.get(Uid.SERIAL_NUMBER) == b"SN-1"


# --- a disk that fails while a device is made --------------------------------------


@pytest.mark.parametrize("fault", Fault)
def test_making_a_device_fails_cleanly_and_works_the_next_time(
    tmp_path: Path, fault: Fault
) -> None:
    (tmp_path / "storage").mkdir()
    failures = 0
    for call in range(200):
        disk = RecordingDisk()
        disk.faults = {call: fault}
        try:
            make_device(tmp_path, disk.mount)
        except StorageError:
            failures += 1
        if disk.calls <= call:
            break
        disk.faults.clear()
        if secured(tmp_path, disk):
            continue
        make_device(tmp_path, disk.mount)
        assert secured(tmp_path, disk)
    assert failures > 5


def secured(state: Path, disk: RecordingDisk) -> bool:
    try:
        with open_device_storage(state, mount=disk.mount) as storage:
            assert storage.its.get(Uid.SERIAL_NUMBER) == b"SN-1"
            return True
    except (StorageMissingError, LifecycleError):
        return False


# --- what it costs -----------------------------------------------------------------


def test_opening_loads_neither_certificates_nor_key_types() -> None:
    program = (
        "import sys, device.storage.device_storage;"
        "print([m for m in ('cryptography.x509', 'awscrt', 'boto3', 'device.storage.sealed_keys',"
        "'cryptography.hazmat.primitives.serialization') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True, timeout=SECONDS
    )
    assert result.stdout == "[]\n"
