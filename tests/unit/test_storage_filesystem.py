"""Does the disk side keep its promises: permissions, errors, atomic replacement, locks?"""

import errno
import os
import resource
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Barrier

import pytest

from device.errors import Row
from device.errors.storage import (
    DATA_CORRUPT,
    INSUFFICIENT_STORAGE,
    STORAGE_ACCESS,
    STORAGE_BUSY,
    STORAGE_FAILURE,
    StorageError,
)
from device.storage.filesystem import (
    FolderLock,
    OsFs,
    make_folder,
    overwrite,
    replace,
    storage_errors,
    sync_folder,
)
from tests.support.errors import raises
from tests.support.hang import SECONDS, line_from
from tests.support.recording_fs import Fault, FolderSynced, RecordingDisk, Renamed, Synced


@pytest.fixture
def fs(tmp_path: Path) -> OsFs:
    return OsFs(tmp_path)


@contextmanager
def files_of_at_most_4_kib() -> Iterator[None]:
    """As a full disk does, the kernel writes what fits, then refuses.

    It does so for the whole process: around a whole test it would end pytest, which writes a log.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_was_created_reads_back(fs: OsFs) -> None:
    fs.create("image", b"content")
    fs.fsync("image")
    fs.fsync_folder()
    assert fs.read("image") == b"content"


def test_a_missing_file_reads_as_none(fs: OsFs, tmp_path: Path) -> None:
    assert fs.read("image") is None
    assert OsFs(tmp_path / "nowhere").read("image") is None


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_file_is_never_open_to_others(fs: OsFs, tmp_path: Path, mode: int) -> None:
    before = os.umask(0)
    try:
        fs.create("image", b"content", mode)
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "image") == mode


def test_creating_over_a_file_is_refused(fs: OsFs) -> None:
    fs.create("huk", b"first")
    with raises(STORAGE_FAILURE, match="huk"):
        fs.create("huk", b"second")
    assert fs.read("huk") == b"first"


def test_rename_replaces(fs: OsFs) -> None:
    fs.create("old", b"old")
    fs.create("new", b"new")
    fs.rename("new", "old")
    assert (fs.read("old"), fs.read("new")) == (b"new", None)


def test_unlinking_nothing_is_no_error(fs: OsFs) -> None:
    fs.create("image", b"content")
    fs.unlink("image")
    fs.unlink("image")
    assert fs.read("image") is None


def test_a_write_that_is_cut_short_is_an_error(fs: OsFs) -> None:
    with files_of_at_most_4_kib(), raises(STORAGE_FAILURE, match="image"):
        fs.create("image", bytes(5000))


@pytest.mark.parametrize("call", ["fsync", "rename", "fsync_folder"])
def test_a_failing_call_names_the_file(tmp_path: Path, call: str) -> None:
    fs = OsFs(tmp_path / "nowhere")
    arguments = {"fsync": ("image",), "rename": ("other", "image"), "fsync_folder": ()}[call]
    with raises(STORAGE_FAILURE, match="nowhere"):
        getattr(fs, call)(*arguments)


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, INSUFFICIENT_STORAGE),
        (errno.EDQUOT, INSUFFICIENT_STORAGE),
        (errno.EACCES, STORAGE_ACCESS),
        (errno.EROFS, STORAGE_ACCESS),
        (errno.EISDIR, DATA_CORRUPT),
        (errno.ELOOP, DATA_CORRUPT),
        (errno.EIO, STORAGE_FAILURE),
    ],
)
def test_each_kind_of_refusal_has_its_error(number: int, expected: Row) -> None:
    with raises(expected, match="image-a: "), storage_errors(Path("image-a")):
        raise OSError(number, os.strerror(number))


def test_folders_are_private_and_their_parents_made(tmp_path: Path) -> None:
    make_folder(tmp_path / "devices" / "SN-1" / "fuses")
    assert mode_of(tmp_path / "devices" / "SN-1" / "fuses") == 0o700
    assert mode_of(tmp_path / "devices" / "SN-1") == 0o700


def test_an_existing_folder_is_closed_to_others(tmp_path: Path) -> None:
    (tmp_path / "fuses").mkdir()
    (tmp_path / "fuses").chmod(0o755)
    make_folder(tmp_path / "fuses")
    assert mode_of(tmp_path / "fuses") == 0o700


def test_a_folder_that_several_make_at_once_is_made_once(tmp_path: Path) -> None:
    together = Barrier(4)

    def make(number: int) -> None:
        together.wait(SECONDS)
        make_folder(tmp_path / str(number) / "SN-1")

    with ThreadPoolExecutor(4) as threads:
        for number in range(50):
            list(threads.map(make, [number] * 4))

    assert len(list(tmp_path.glob("*/SN-1"))) == 50


def test_a_file_in_place_of_a_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "fuses").write_bytes(b"")
    with raises(DATA_CORRUPT, match="fuses"):
        make_folder(tmp_path / "fuses")
    with raises(DATA_CORRUPT, match="fuses"):
        sync_folder(tmp_path / "fuses")


@pytest.mark.parametrize(
    "sync", [lambda: OsFs(Path("/dev")).fsync("null"), lambda: sync_folder(Path("/proc"))]
)
def test_a_sync_reaches_the_kernel(sync: Callable[[], None]) -> None:
    # What cannot be synced says so: the one sign of a sync that shows without cutting power.
    with raises(STORAGE_FAILURE, match="Invalid argument"):
        sync()


def test_replace_syncs_the_content_before_the_name_and_the_name_before_it_returns() -> None:
    disk = RecordingDisk()
    replace(disk.mount(Path("storage")), "image", b"content")
    kinds = [type(operation) for operation in disk.operations]
    assert kinds[-3:] == [Synced, Renamed, FolderSynced]


@pytest.mark.parametrize("fault", [Fault.NO_SPACE, Fault.IO_ERROR, Fault.SHORT_WRITE])
@pytest.mark.parametrize("call", range(5))
def test_a_failed_replace_leaves_the_old_content_and_no_litter(fault: Fault, call: int) -> None:
    disk = RecordingDisk({"storage": {"image": b"old"}})
    disk.faults = {call: fault}
    try:
        replace(disk.mount(Path("storage")), "image", b"new")
    except StorageError:
        assert disk.content() == {"storage": {"image": b"old"}}
    else:
        assert fault is Fault.SHORT_WRITE  # and the call wrote nothing
        assert disk.content() == {"storage": {"image": b"new"}}


def test_a_disk_that_lies_about_a_write_does_not_get_the_name() -> None:
    disk = RecordingDisk({"storage": {"image": b"old"}})
    disk.faults = {1: Fault.LYING_WRITE}
    with raises(STORAGE_FAILURE, match="read back"):
        replace(disk.mount(Path("storage")), "image", b"new")
    assert disk.content() == {"storage": {"image": b"old"}}


class IgnoresOverwrites(OsFs):
    """A disk that says it wrote, and did not."""

    def overwrite(self, name: str, data: bytes) -> None:
        """Do nothing."""


def test_an_overwrite_that_does_not_read_back_is_an_error(tmp_path: Path) -> None:
    fs = IgnoresOverwrites(tmp_path)
    fs.create("image", b"old")
    with raises(STORAGE_FAILURE, match="read back"):
        overwrite(fs, "image", b"new")


def test_a_second_lock_on_a_folder_is_refused_until_the_first_is_released(tmp_path: Path) -> None:
    first = FolderLock(tmp_path)
    with raises(STORAGE_BUSY, match="in use"):
        FolderLock(tmp_path)
    first.release()
    first.release()
    FolderLock(tmp_path).release()
    assert mode_of(tmp_path / "lock") == 0o600


def test_another_process_holds_the_lock_until_it_dies(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib, device.storage.filesystem as f;"
        "lock = f.FolderLock(pathlib.Path(sys.argv[1])); print('locked', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert line_from(other, other.stdout) == b"locked\n"
        with raises(STORAGE_BUSY):
            FolderLock(tmp_path)
        other.send_signal(signal.SIGKILL)
        other.wait(SECONDS)
    FolderLock(tmp_path).release()
