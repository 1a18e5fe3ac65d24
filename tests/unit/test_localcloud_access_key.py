"""The access key of a local AWS: its own, secret, and kept."""

import json
import stat
from pathlib import Path

import pytest

from localcloud.door.access_key import make_access_key, new_access_key, read_access_key
from localcloud.errors import STATE_FOLDER
from localcloud.process.state_folder import StateFolder
from tests.support.errors import raises


def test_no_two_are_alike() -> None:
    one, other = new_access_key(), new_access_key()
    assert one.id != other.id
    assert one.secret != other.secret


def test_it_is_made_with_its_folder_for_its_owner_only(tmp_path: Path) -> None:
    StateFolder(tmp_path / "cloud").create()
    file = tmp_path / "cloud" / "access-key.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_it_stays_when_the_folder_is_used_again(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    folder.create()
    key = folder.access_key()
    folder.create()
    folder.empty()
    assert folder.access_key() == key


def test_nothing_is_left_beside_it(tmp_path: Path) -> None:
    make_access_key(tmp_path / "key.json")
    assert [file.name for file in tmp_path.iterdir()] == ["key.json"]


def test_its_secret_is_not_shown() -> None:
    key = new_access_key()
    assert key.secret not in repr(key)


@pytest.mark.parametrize("content", [
    "", "{", "[" * 100_000, "[]", "7", "{}", '{"access_key_id": "A"}',
    json.dumps({"access_key_id": "A", "secret_access_key": ""}),
    json.dumps({"access_key_id": 7, "secret_access_key": "s"}),
])  # fmt: skip
def test_a_damaged_file_is_said_so(tmp_path: Path, content: str) -> None:
    file = tmp_path / "access-key.json"
    file.write_text(content)
    with raises(STATE_FOLDER, match="does not hold an access key"):
        read_access_key(file)
