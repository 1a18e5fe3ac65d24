"""Is there a test behind each of the rows R1 to R7 in docs/renewal.md?"""

import ast
import re
from pathlib import Path

import pytest

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
