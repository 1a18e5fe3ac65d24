"""The state folder: private, one server at a time, and never someone else's."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from localcloud.errors import ALREADY_RUNNING, STATE_FOLDER
from localcloud.process.state_folder import Ports, Server, StateFolder
from tests.support.errors import raises
from tests.support.hang import SECONDS, line_from

PORTS = Ports(api=1, mqtt=2)
HOLD = """
import os, sys
from pathlib import Path
from localcloud.process.state_folder import Ports, StateFolder
with StateFolder(Path(sys.argv[1])).serve(Ports(1, 2)):
    print(os.getpid(), flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    made = StateFolder(tmp_path / "cloud")
    made.create()
    return made


def hold_elsewhere(folder: StateFolder) -> "subprocess.Popen[str]":
    """Serve the folder from another process; return it once it does."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert int(line_from(process, process.stdout)) == process.pid
    return process


def test_it_is_for_its_owner_only(folder: StateFolder) -> None:
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700


def test_a_folder_that_was_open_to_others_is_closed(folder: StateFolder) -> None:
    folder.path.chmod(0o755)
    folder.create()
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700


def test_a_folder_with_other_content_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with raises(STATE_FOLDER, match="does not belong to a local AWS"):
        StateFolder(tmp_path).create()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with raises(STATE_FOLDER, match="file/cloud"):
        StateFolder(tmp_path / "file" / "cloud").create()


def test_emptying_forgets_all_but_the_ports_and_the_key(folder: StateFolder) -> None:
    with folder.serve(PORTS):
        (folder.services / "iot.json").touch()
        folder.root_ca.touch()
    folder.empty()
    left = sorted(path.name for path in folder.path.iterdir())
    assert left == ["access-key.json", "server.json"]
    assert folder.remembered_ports() == PORTS


def test_emptying_spares_a_folder_with_other_content(tmp_path: Path) -> None:
    (tmp_path / "s3").mkdir()
    with raises(STATE_FOLDER):
        StateFolder(tmp_path).empty()
    assert (tmp_path / "s3").exists()


def test_emptying_what_is_not_there_is_done(tmp_path: Path) -> None:
    StateFolder(tmp_path / "nothing").empty()


def test_a_new_folder_has_no_server_and_no_ports(folder: StateFolder) -> None:
    assert folder.server() is None
    assert folder.remembered_ports() is None


def test_a_folder_that_is_not_there_has_no_server(tmp_path: Path) -> None:
    assert StateFolder(tmp_path / "nothing").server() is None


def test_who_serves_it_is_known_from_another_process(folder: StateFolder) -> None:
    process = hold_elsewhere(folder)
    assert folder.server() == Server(process.pid, PORTS)
    process.communicate("", timeout=SECONDS)
    assert folder.server() is None


def test_a_killed_server_leaves_only_its_ports(folder: StateFolder) -> None:
    process = hold_elsewhere(folder)
    process.kill()
    process.communicate(timeout=SECONDS)
    assert folder.server() is None
    assert folder.remembered_ports() == PORTS


def test_a_second_server_is_refused(folder: StateFolder) -> None:
    process = hold_elsewhere(folder)
    with (
        raises(ALREADY_RUNNING),
        folder.serve(PORTS, patience=0),
    ):
        pass
    process.communicate("", timeout=SECONDS)


def test_asking_who_serves_does_not_stop_a_start(folder: StateFolder) -> None:
    with folder.serve(PORTS):
        assert folder.server() is not None
    with folder.serve(PORTS):
        pass


def test_scratch_files_of_an_earlier_run_are_gone(folder: StateFolder) -> None:
    with folder.serve(PORTS):
        (folder.scratch / "left").touch()
    with folder.serve(PORTS):
        assert list(folder.scratch.iterdir()) == []


@pytest.mark.parametrize("record", [b"", b"{", b'{"pid": 1}', b"\xff", b"[]", b"[" * 100_000])
def test_a_damaged_record_is_no_record(folder: StateFolder, record: bytes) -> None:
    (folder.path / "server.json").write_bytes(record)
    assert folder.remembered_ports() is None
