"""Is what the outbox accepted still there after any power cut, sealed, and within its limits?"""

from pathlib import Path
from typing import cast

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from device.errors.operation import OUTBOX_FULL
from device.errors.storage import StorageError
from device.operation.outbox import MemoryOutbox, Outbox
from device.provisioning.actions import Publish
from device.runtime.durable_outbox import DurableOutbox, open_outbox
from device.runtime.open_file import FolderWithOpenFile
from device.storage.filesystem import UNFINISHED
from tests.support.crash_states import CrashState, crash_states, explore
from tests.support.devices import open_device
from tests.support.errors import raises
from tests.support.memory_disk import MemoryDisk
from tests.support.recording_fs import Fault, FolderSynced, RecordingDisk, Synced

KEY = bytes(range(32))
PLACE = Path("outbox")


def publication(number: int, size: int = 10) -> Publish:
    return Publish("dt/SN-1/telemetry", b"%04d" % number + bytes(size))


def outbox_on(disk: RecordingDisk | MemoryDisk, most: int = 5, key: bytes = KEY) -> DurableOutbox:
    return DurableOutbox(disk.mount(PLACE), key, most, 1_000)


def sizes_in(folder: Path) -> tuple[int, ...]:
    return tuple(file.stat().st_size for file in folder.iterdir())


def drained(outbox: Outbox) -> list[int]:
    return [int(outbox.remove().payload[:4]) for _ in range(len(outbox))]


def test_a_start_finds_what_the_stop_before_it_left_in_order() -> None:
    disk = MemoryDisk()
    before = outbox_on(disk)
    for number in range(1, 5):
        before.put(publication(number))
    before.remove()

    after = outbox_on(disk)

    assert after.at(0) == publication(2)
    after.put(publication(5))
    assert drained(after) == [2, 3, 4, 5]
    assert drained(outbox_on(disk)) == []


def test_whatever_the_moment_of_a_cut_nothing_accepted_is_lost_nor_out_of_order() -> None:
    disk = RecordingDisk({PLACE.name: {}})
    outbox = outbox_on(disk)
    accepted, acknowledged = [], 0
    disk.acknowledge(((), 0))
    for number in range(1, 7):
        outbox.put(publication(number))
        accepted.append(number)
        disk.acknowledge((tuple(accepted), acknowledged))
        if number % 2:
            acknowledged = int(outbox.at(0).payload[:4])
            disk.acknowledge((tuple(accepted), acknowledged))
            outbox.remove()

    def check(state: CrashState) -> None:
        found = drained(outbox_on(RecordingDisk(state.disk)))
        assert found == sorted(set(found))
        held, told = cast("tuple[tuple[int, ...], int]", state.allowed[0])
        assert set(found) >= {number for number in held if number > told}
        assert set(found) <= {*range(1, len(held) + 2)}

    result = explore(crash_states(disk), check)

    assert result.states > 50
    assert result.violations == []


def test_a_start_after_a_cut_accepts_more_and_none_takes_the_place_of_another() -> None:
    disk = RecordingDisk({PLACE.name: {}})
    outbox = outbox_on(disk)
    disk.acknowledge(None)
    outbox.put(publication(1))
    outbox.put(publication(2))
    outbox.remove()

    def check(state: CrashState) -> None:
        after = RecordingDisk(state.disk)
        again = outbox_on(after)
        again.put(publication(9))
        assert drained(outbox_on(after))[-1] == 9

    assert explore(crash_states(disk), check).violations == []


def test_publications_put_together_are_one_commit_and_one_file() -> None:
    disk = RecordingDisk({PLACE.name: {}})
    outbox = outbox_on(disk)
    before = len(disk.operations)

    outbox.put(*map(publication, range(1, 5)))

    syncs = [op for op in disk.operations[before:] if isinstance(op, Synced | FolderSynced)]
    assert len(syncs) == 2
    assert len(disk.content()[PLACE.name]) == 1
    outbox.remove()
    assert drained(outbox_on(RecordingDisk(disk.content()))) == [1, 2, 3, 4], "as after a cut"
    outbox.settle()
    assert drained(outbox_on(RecordingDisk(disk.content()))) == [2, 3, 4], "as after a stop"


def test_a_message_that_waits_alone_costs_one_sync_and_no_new_name() -> None:
    disk = RecordingDisk({PLACE.name: {}})
    outbox = outbox_on(disk)
    outbox.put(publication(1))
    outbox.remove()
    before, names = len(disk.operations), disk.content()[PLACE.name].keys()

    outbox.put(publication(2))

    syncs = [op for op in disk.operations[before:] if isinstance(op, Synced | FolderSynced)]
    assert [type(sync) for sync in syncs] == [Synced]
    assert disk.content()[PLACE.name].keys() == names
    assert drained(outbox_on(RecordingDisk(disk.content()))) == [2]


def test_what_a_crash_leaves_of_a_message_that_arrived_is_no_damage() -> None:
    disk = MemoryDisk()
    before = outbox_on(disk)
    before.put(publication(1))
    before.remove()

    after = outbox_on(disk)

    assert (after.damaged, len(after), disk.places()) == (0, 0, [])


def test_short_messages_one_after_another_leave_the_size_of_their_file(tmp_path: Path) -> None:
    outbox = DurableOutbox(FolderWithOpenFile(tmp_path), KEY)
    seen = set()

    for number, size in enumerate([10, 700, 0]):
        outbox.put(publication(number, size))
        seen.add(sizes_in(tmp_path))
        outbox.remove()
        seen.add(sizes_in(tmp_path))

    assert seen == {(1024,)}, "one file, and the file system has nothing to note"


def test_a_message_that_is_longer_than_its_file_makes_it_longer(tmp_path: Path) -> None:
    outbox = DurableOutbox(FolderWithOpenFile(tmp_path), KEY)
    outbox.put(publication(1))
    outbox.remove()

    outbox.put(publication(2, 2_000))

    assert sizes_in(tmp_path) == (3072,)
    assert drained(DurableOutbox(FolderWithOpenFile(tmp_path), KEY)) == [2]


def test_nothing_of_a_message_that_arrived_stays_on_disk() -> None:
    disk = MemoryDisk()
    outbox = outbox_on(disk)
    outbox.put(publication(1, 900))
    outbox.remove()

    [(folder, name)] = disk.places()
    assert disk.content(folder, name).rstrip(b"\0") == b"acknowledged"


@pytest.mark.parametrize(("payload", "waiting"), [(b"0007", [7]), (b"", [])])
def test_a_file_of_an_older_firmware_is_read(payload: bytes, waiting: list[int]) -> None:
    """It has no padding, and is empty when nothing waits."""
    name, nonce = f"{1:016x}", bytes(12)
    content = msgspec.msgpack.encode(["dt/SN-1/telemetry", payload])
    sealed = nonce + AESGCM(KEY).encrypt(nonce, content, name.encode())
    disk = RecordingDisk({PLACE.name: {name: sealed if payload else b""}})

    outbox = outbox_on(disk)

    assert (outbox.damaged, drained(outbox)) == (0, waiting)


def test_a_file_of_a_higher_number_that_a_cut_brings_back_is_not_out_of_order() -> None:
    disk = RecordingDisk({PLACE.name: {}})
    outbox = outbox_on(disk)
    disk.acknowledge(None)
    outbox.put(publication(1))
    outbox.put(publication(2))
    outbox.remove(1)
    outbox.remove(0)
    outbox.put(publication(3))

    def check(state: CrashState) -> None:
        found = drained(outbox_on(RecordingDisk(state.disk)))
        assert found == sorted(found)

    assert explore(crash_states(disk), check).violations == []


def test_a_group_that_has_no_room_is_refused_whole() -> None:
    outbox = outbox_on(MemoryDisk(), most=3)

    with raises(OUTBOX_FULL, match="0 publications"):
        outbox.put(*map(publication, range(4)))

    assert len(outbox) == 0


@pytest.mark.parametrize("outbox", [MemoryOutbox(3, 1_000), outbox_on(MemoryDisk(), 3)])
def test_a_full_outbox_refuses_and_says_how_full_it_is(outbox: MemoryOutbox) -> None:
    for number in range(3):
        outbox.put(publication(number))

    assert not outbox.has_room_for(publication(3))
    with raises(OUTBOX_FULL, match=r"3 publications \(93 bytes\) are not acknowledged"):
        outbox.put(publication(3))

    assert drained(outbox) == [0, 1, 2]


def test_bytes_are_a_limit_too() -> None:
    outbox = outbox_on(MemoryDisk())
    outbox.put(publication(1, 900))

    assert not outbox.has_room_for(publication(2, 100))
    outbox.remove()
    assert outbox.has_room_for(publication(2, 100))


@pytest.mark.parametrize(
    ("fault", "call"),
    [
        *((fault, call) for fault in (Fault.NO_SPACE, Fault.IO_ERROR) for call in range(3)),
        (Fault.SHORT_WRITE, 0),
    ],
)
def test_a_disk_that_refuses_leaves_what_was_there(fault: Fault, call: int) -> None:
    disk = RecordingDisk({PLACE.name: {}})
    outbox = outbox_on(disk)
    outbox.put(publication(1))
    disk.faults = {disk.calls + call: fault}

    with pytest.raises(StorageError):
        outbox.put(publication(2))

    assert len(outbox) == 1
    outbox.put(publication(3))
    assert drained(outbox_on(RecordingDisk(disk.content()))) == [1, 3]


def test_a_disk_that_refuses_the_file_that_is_used_again_gets_another() -> None:
    disk = RecordingDisk({PLACE.name: {}})
    outbox = outbox_on(disk)
    outbox.put(publication(1))
    outbox.remove()
    disk.faults = {disk.calls: Fault.NO_SPACE}

    with pytest.raises(StorageError):
        outbox.put(publication(2))

    outbox.put(publication(3))
    assert drained(outbox_on(RecordingDisk(disk.content()))) == [3]


def test_a_file_that_a_cut_left_unfinished_is_no_damage() -> None:
    disk = RecordingDisk({PLACE.name: {f"{1:016x}{UNFINISHED}": b"half"}})

    outbox = outbox_on(disk)

    assert (outbox.damaged, len(outbox), disk.content()) == (0, 0, {PLACE.name: {}})


def test_what_is_held_in_memory_goes_in_its_turn_and_not_to_the_disk() -> None:
    disk = MemoryDisk()
    outbox = outbox_on(disk)
    outbox.put(publication(1))
    outbox.hold(publication(2))
    outbox.put(publication(3))

    assert drained(outbox_on(disk)) == [1, 3]
    assert drained(outbox) == [1, 2, 3]


def test_no_file_shows_a_topic_or_a_payload() -> None:
    disk = MemoryDisk()
    outbox_on(disk).put(Publish("app/secret-place", b"a secret of the application"))

    [(folder, name)] = disk.places()
    assert b"secret" not in disk.content(folder, name)


@pytest.mark.parametrize("damage", [b"x", bytes(200)])
def test_a_file_that_does_not_open_is_dropped_and_counted(damage: bytes) -> None:
    disk = MemoryDisk()
    outbox = outbox_on(disk)
    outbox.put(publication(1))
    outbox.put(publication(2))

    after = outbox_on(disk.with_file([sorted(disk.places())[0]], damage))

    assert (after.damaged, drained(after)) == (1, [2])


def test_a_file_of_another_device_or_of_another_name_does_not_open() -> None:
    disk = MemoryDisk()
    outbox_on(disk).put(publication(1))
    [(folder, name)] = disk.places()
    renamed = disk.with_file([(folder, "0000000000000007")], disk.content(folder, name))

    assert outbox_on(renamed).damaged == 1
    assert outbox_on(disk, key=bytes(32)).damaged == 1


def test_a_device_has_its_outbox_beside_its_storage(tmp_path: Path) -> None:
    place = tmp_path / "outbox" / "telemetry"
    with open_device(tmp_path) as storage:
        open_outbox(place, storage, 5, 1_000).put(publication(1))
        again = open_outbox(place, storage, 5, 1_000)

    assert drained(again) == [1]
    assert place.stat().st_mode & 0o777 == 0o700
