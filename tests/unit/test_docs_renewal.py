"""Is there a test behind each of the rows R1 to R7 in docs/renewal.md?"""

import ast
import re
from pathlib import Path

import pytest

from tests.hardware.test_whole_life import LIVES

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "renewal.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| (R\d) \|.*\| (.*) \|$", PAGE, re.MULTILINE))


def test_the_page_has_seven_rows() -> None:
    assert list(ROWS) == [f"R{number}" for number in range(1, 8)]


@pytest.mark.parametrize("row", ROWS)
def test_a_row_names_tests_that_there_are(row: str) -> None:
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", ROWS[row])

    assert named
    for file, test in named:
        module = ast.parse((TESTS / file).read_text(encoding="utf-8"))
        assert test in {each.name for each in module.body if isinstance(each, ast.FunctionDef)}


def test_the_page_has_a_row_for_each_life_that_is_tested() -> None:
    rows = re.findall(
        r"^\| ([\w-]+) \| (sealed|SoftHSM) \|(?: (?:yes|no) \|){4}$", PAGE, re.MULTILINE
    )

    assert rows == LIVES


def test_what_the_page_names_as_a_test_is_one() -> None:
    for file, test in re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE):
        assert f"def {test}(" in (TESTS / file).read_text(encoding="utf-8")
