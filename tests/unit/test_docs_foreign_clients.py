"""Is there a test behind each of the differences D1 to D18 in docs/foreign-clients.md?"""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "foreign-clients.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| (D\d+) \|.*\| (.*) \|$", PAGE, re.MULTILINE))
NOT_HERE = {"D14"}


def test_the_page_has_eighteen_rows() -> None:
    assert list(ROWS) == [f"D{number}" for number in range(1, 19)]


@pytest.mark.parametrize("row", ROWS)
def test_a_row_names_tests_that_there_are(row: str) -> None:
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", ROWS[row])

    assert bool(named) == (row not in NOT_HERE)
    for file, test in named:
        module = ast.parse((TESTS / file).read_text(encoding="utf-8"))
        assert test in {each.name for each in module.body if isinstance(each, ast.FunctionDef)}
