"""Is what goes into the open file what is in the folder, whatever becomes of the file?"""

from contextlib import suppress
from pathlib import Path

import pytest

from device.errors.storage import DataCorruptError, StorageError
from device.runtime.open_file import FolderWithOpenFile


def folder_with(place: Path, *names: str) -> FolderWithOpenFile:
    folder = FolderWithOpenFile(place)
    for name in names:
        folder.create(name, b"first")
    return folder


@pytest.mark.parametrize("content", [b"", b"1st", b"other", b"much longer than before"])
def test_the_content_is_what_was_written_last(tmp_path: Path, content: bytes) -> None:
    folder = folder_with(tmp_path, "a")
    folder.overwrite("a", b"second")

    folder.overwrite("a", content)
    folder.fsync("a")

    assert folder.read("a") == content


def test_each_file_has_its_own_content(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, "a", "b")

    folder.overwrite("a", b"of a")
    folder.overwrite("b", b"of b")
    folder.fsync("a")
    folder.overwrite("a", b"of a again")

    assert (folder.read("a"), folder.read("b")) == (b"of a again", b"of b")


def test_a_file_that_was_made_anew_under_the_same_name_is_the_one(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, "a")
    folder.overwrite("a", b"old")

    folder.unlink("a")
    folder.create("a", b"new")
    folder.overwrite("a", b"newer")

    assert folder.read("a") == b"newer"


def test_nothing_is_accepted_into_a_file_that_someone_removed(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, "a")
    folder.overwrite("a", b"second")
    (tmp_path / "a").unlink()

    with pytest.raises(StorageError, match="No such file"):
        folder.overwrite("a", b"lost")


def test_a_folder_in_the_place_of_a_file_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()

    with pytest.raises(DataCorruptError, match="Is a directory"):
        folder_with(tmp_path).overwrite("a", b"anything")


def test_one_file_is_open_at_most_and_none_without_the_folder(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, "a", "b")

    folder.overwrite("a", b"1")
    folder.overwrite("b", b"2")
    assert open_in(tmp_path) == ["b"]
    folder.unlink("b")
    assert open_in(tmp_path) == []
    folder.overwrite("a", b"3")
    del folder
    assert open_in(tmp_path) == []


def open_in(place: Path) -> list[str]:
    """Return the names of the files in ``place`` that this process has open."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the one that listed them is closed by now
            found.append(descriptor.readlink())
    return [file.name for file in found if file.parent == place]
