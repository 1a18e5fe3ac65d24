"""docs/cannot-be-bricked.md names tests that exist, every planted bug and every accident."""

import re
from pathlib import Path
from typing import Final

import pytest

from tests.world.bugs import BUGS
from tests.world.recovery import KINDS

TESTS: Final = Path(__file__).parents[1]
PAGE: Final = (TESTS.parent / "docs" / "cannot-be-bricked.md").read_text(encoding="utf-8")
NAMED: Final = sorted(set(re.findall(r"`([a-z_/0-9]+\.py)::(\w+)`", PAGE)))


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_the_test_exists(file: str, test: str) -> None:
    assert f"def {test}(" in (TESTS / file).read_text(encoding="utf-8")


def test_each_condition_of_a_network_has_a_test() -> None:
    table = PAGE.partition("| network |")[2].partition("\n\n")[0].splitlines()[2:]
    assert len(table) >= 8
    assert [line for line in table if ".py::" not in line] == []


def test_each_planted_bug_is_on_the_page() -> None:
    missing = [bug for bug in BUGS if f"| {bug.place} | {bug.name} |" not in PAGE]
    assert missing == []


def test_each_accident_has_its_recovery_time() -> None:
    assert [kind for kind in KINDS if f"\n| {kind} | " not in PAGE] == []
