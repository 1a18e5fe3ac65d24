"""docs/bad-input.md has each method in each case, and every test that it names exists."""

import ast
import re
from collections import Counter
from pathlib import Path
from typing import Final, get_args

import pytest

from device.settings import Method

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "bad-input.md").read_text()
CASES: Final = dict(re.findall(r"^## (.*?)\n\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
SHOWN_BY: Final = sorted(set(re.findall(r"`([a-z_/]+\.py)::(\w+)`", PAGE)))


def rows(table: str) -> list[list[str]]:
    lines = [line.strip("| ").split(" | ") for line in table.splitlines() if line[:1] == "|"]
    return lines[2:]


def methods_of(row: list[str]) -> list[str]:
    return list(get_args(Method)) if row[0] == "all eight" else row[0].split(", ")


def test_it_has_the_cases_of_the_issue() -> None:
    assert len(CASES) == 13


@pytest.mark.parametrize("case", CASES)
def test_each_method_is_shown_in_each_case_or_it_is_said_why_not(case: str) -> None:
    shown = Counter(m for row in rows(CASES[case]) for m in methods_of(row))
    cannot_be = [m for row in rows(CASES[case]) if "cannot be" in row[1] for m in methods_of(row)]
    assert shown.keys() == set(get_args(Method))
    assert [method for method in cannot_be if shown[method] > 1] == []


@pytest.mark.parametrize("case", CASES)
def test_whatever_can_be_has_its_test(case: str) -> None:
    without = [row for row in rows(CASES[case]) if "::" not in row[-1]]
    assert [row for row in without if "cannot be" not in row[1]] == []


@pytest.mark.parametrize(("file", "test"), SHOWN_BY)
def test_the_test_exists(file: str, test: str) -> None:
    module = ast.parse((ROOT / "tests" / file).read_text())
    names = {each.name for each in module.body if isinstance(each, ast.FunctionDef)}
    assert test in names
