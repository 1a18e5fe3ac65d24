"""Does a reader see one committed state or another while a writer commits, and nothing else?"""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from device.errors.storage import STORAGE_FAILURE
from device.storage.device_storage import open_device_storage
from device.storage.filesystem import Fs, Mount
from device.storage.secure_storage import Uid
from tests.support import hang
from tests.support.errors import raises
from tests.support.recording_fs import RecordingDisk, RecordingFs
from tests.support.sealed_device import make_device

JOURNAL = Uid.PROVISIONING_JOURNAL


class OvertakenFs(RecordingFs):
    """The reader's view: before each look at an image, the writer may commit once more."""

    overtake: Callable[[], None]

    def read(self, name: str) -> bytes | None:
        if name.startswith("image"):
            self.overtake()
        return super().read(name)


@pytest.fixture
def overtaken(tmp_path: Path) -> Iterator[tuple[Callable[[list[bytes]], Mount], Path]]:
    """A device open for writing, and how to mount it for a reader whom its commits overtake."""
    disk = RecordingDisk()
    (tmp_path / "storage").mkdir()
    make_device(tmp_path, disk.mount)
    with open_device_storage(tmp_path, mount=disk.mount) as writer:
        writer.ps.set(JOURNAL, b"first")

        def reader(values: list[bytes]) -> Mount:
            def mount(folder: Path) -> Fs:
                fs = OvertakenFs(disk, folder.name)
                fs.overtake = lambda: writer.ps.set(JOURNAL, values.pop()) if values else None
                return fs

            return mount

        yield reader, tmp_path


@pytest.mark.parametrize("commits", range(6))
def test_a_reader_whom_commits_overtake_looks_again(
    overtaken: tuple[Callable[[list[bytes]], Mount], Path], commits: int
) -> None:
    reader, state = overtaken
    values = [b"%d" % number for number in range(commits)]
    with open_device_storage(state, read_only=True, mount=reader(values)) as storage:
        assert storage.ps.get(JOURNAL) in {b"first", *(b"%d" % n for n in range(commits))}
        assert values == []


def test_a_reader_gives_up_when_the_anchor_never_stands_still(
    overtaken: tuple[Callable[[list[bytes]], Mount], Path],
) -> None:
    reader, state = overtaken
    values = [b"%d" % number for number in range(1000)]
    with raises(STORAGE_FAILURE, match="never stands still"):
        open_device_storage(state, read_only=True, mount=reader(values))


def test_readers_and_a_writer_work_on_real_files_at_once(tmp_path: Path) -> None:
    state = make_device(tmp_path / "device")
    stop = threading.Event()
    found: list[int] = []

    def read_on_and_on() -> None:
        while not stop.is_set():
            with open_device_storage(state, read_only=True) as storage:
                found.append(int(storage.ps.get(JOURNAL)))

    reader = threading.Thread(target=read_on_and_on, daemon=True)
    with open_device_storage(state) as storage:
        storage.ps.set(JOURNAL, b"0")
        reader.start()
        for number in range(100):
            storage.ps.set(JOURNAL, b"%d" % number)
        stop.set()
        hang.join(reader)
    assert found == sorted(found)
    assert len(set(found)) > 1
