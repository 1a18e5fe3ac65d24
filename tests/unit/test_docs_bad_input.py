"""docs/bad-input.md has each method in each case, and its tests assert what it says they do."""

import ast
import functools
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from device.config.methods import METHODS
from device.errors import ExitCode

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "bad-input.md").read_text()
CASES: Final = dict(re.findall(r"^## (.*?)\n\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
SHOWN_BY: Final = sorted(set(re.findall(r"`([a-z_/]+\.py)::(\w+)`", PAGE)))


def rows(table: str) -> list[list[str]]:
    lines = [line.strip("| ").split(" | ") for line in table.splitlines() if line[:1] == "|"]
    return lines[2:]


def methods_of(row: list[str]) -> list[str]:
    return list(METHODS) if row[0] == "every method" else row[0].split(", ")


def test_it_has_the_cases_of_the_issue() -> None:
    assert len(CASES) == 13


@pytest.mark.parametrize("case", CASES)
def test_each_method_is_shown_in_each_case_or_it_is_said_why_not(case: str) -> None:
    shown = Counter(m for row in rows(CASES[case]) for m in methods_of(row))
    cannot_be = [m for row in rows(CASES[case]) if "cannot be" in row[1] for m in methods_of(row)]
    assert shown.keys() == set(METHODS)
    assert [method for method in cannot_be if shown[method] > 1] == []


@pytest.mark.parametrize("case", CASES)
def test_whatever_can_be_has_its_test(case: str) -> None:
    without = [row for row in rows(CASES[case]) if "::" not in row[-1]]
    assert [row for row in without if "cannot be" not in row[1]] == []


def rows_with_a_test() -> Iterator[tuple[str, str, str, str]]:
    """Yield file, test, what is said and the exit codes of each row."""
    for row in [row for table in CASES.values() for row in rows(table)]:
        for file, test in re.findall(r"`([a-z_/]+\.py)::(\w+)`", row[-1]):
            yield file, test, row[1], row[2]


ROWS: Final = sorted(set(rows_with_a_test()))
WORDS: Final = [
    (file, test, words)
    for file, test, said, _ in ROWS
    for words in re.findall(r"`([^`]+)`", said)
    if not words.startswith("factory ")  # a command that is advised
]
CODES: Final = [
    (file, test, ExitCode(int(code)))
    for file, test, _, codes in ROWS
    for code in codes.split(", ")
    if file.startswith("wire/bad_input/")
]
NEXT_STEP: Final = r"\b(next_step|advised)\(|in causes"
MENDED: Final = r"assert_let_in\(|assert line\.boot\([^)]*\)\.code == 0"


@functools.cache
def functions(file: str) -> dict[str, str]:
    """Return each function of a test file by name, with its decorators, without line breaks."""
    lines = (ROOT / "tests" / file).read_text().splitlines()
    module = ast.parse("\n".join(lines)).body
    found = [each for each in module if isinstance(each, ast.FunctionDef)]
    return {each.name: "".join(lines[first_line(each) : each.end_lineno]) for each in found}


def first_line(function: ast.FunctionDef) -> int:
    return min([function.lineno, *(each.lineno for each in function.decorator_list)]) - 1


def asserted(file: str, test: str) -> str:
    """Return the source of a test and of the functions in its file that it calls."""
    known = functions(file)
    source = known[test]
    for _ in range(2):
        called = set(re.findall(r"\b(\w+)\(", source)) & known.keys() - {test}
        source += "".join(known[name] for name in sorted(called))
    return re.sub(r'" +f?"', "", source)


@pytest.mark.parametrize(("file", "test"), SHOWN_BY)
def test_the_test_exists(file: str, test: str) -> None:
    assert test in functions(file)


@pytest.mark.parametrize(("file", "test", "words"), WORDS)
def test_the_words_that_are_quoted_are_asserted(file: str, test: str, words: str) -> None:
    assert words in asserted(file, test).replace("\\", "")


@pytest.mark.parametrize(("file", "test", "code"), CODES)
def test_the_exit_code_is_asserted(file: str, test: str, code: ExitCode) -> None:
    assert f".code == ExitCode.{code.name}" in asserted(file, test)


@pytest.mark.parametrize("what", [NEXT_STEP, MENDED], ids=["next step", "mended"])
@pytest.mark.parametrize(("file", "test"), sorted({(file, test) for file, test, _ in CODES}))
def test_the_next_step_is_asserted_and_the_device_goes_through(
    file: str, test: str, what: str
) -> None:
    assert re.search(what, asserted(file, test))
