"""Does the world find bugs that somebody planted, and shrink them to a few events?"""

import shutil
from pathlib import Path

import pytest

from scripts import _planted
from tests.world.bugs import BUGS, Bug

DEVICE = Path(_planted.__file__).parents[1] / "device"


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_the_code_still_has_what_a_bug_changes(bug: Bug) -> None:
    assert (DEVICE / bug.path).read_text(encoding="utf-8").count(bug.was) == 1
    assert bug.becomes != bug.was


def test_a_bug_is_planted_in_a_copy_alone(tmp_path: Path) -> None:
    bug = BUGS[0]
    (tmp_path / "device" / bug.path).parent.mkdir(parents=True)
    shutil.copy(DEVICE / bug.path, tmp_path / "device" / bug.path)
    _planted.plant(bug, tmp_path)

    assert bug.becomes in (tmp_path / "device" / bug.path).read_text(encoding="utf-8")
    assert bug.was in (DEVICE / bug.path).read_text(encoding="utf-8")


def test_bugs_are_in_all_places() -> None:
    assert {bug.place for bug in BUGS} == {"machine", "storage", "loop", "outbox", "renewal"}


@pytest.mark.long
@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_the_world_finds_it(bug: Bug) -> None:
    assert _planted.search_for(bug, 120.0, "--unshrunk").startswith("seed ")
