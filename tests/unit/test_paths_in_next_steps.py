"""Can each command of a next step be pasted into a shell, whatever its paths are called?"""

import ast
import re
import shlex
import string
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from device.errors import Row
from device.errors.catalogue import CATALOGUE as DEVICE_ROWS
from factory.errors.catalogue import OWN as STATION_ROWS
from localcloud.errors import CATALOGUE as LOCAL_ROWS
from localcloud.errors import Row as LocalRow

ROOT = Path(__file__).parents[2]
ROWS: list[Row | LocalRow] = [
    *DEVICE_ROWS.values(), *STATION_ROWS.values(), *LOCAL_ROWS.values(),
]  # fmt: skip
AWKWARD = Path("/srv/it's my $HOME; rm -rf x/device")
OF_PATHS = {"path", "log", "folder", "file", "state", "place"}
_OPTION = re.compile(
    r"(--(state|out|station|config|template|from|local-aws|certificate|serials)"
    r"|\b(chmod \d+|cat|rm|cp|mv|ls))[ =]$"
)


def fields_of(words: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(words) if name}


WITH_PATHS = [row for row in ROWS if fields_of(row.next_step) & OF_PATHS]


def test_there_are_such_rows() -> None:
    assert {"FB-119", "FB-902", "FB-903"} <= {row.code for row in WITH_PATHS}


class Words(dict[str, Any]):
    """Gives a path for each field that is called as one, and a number for any other."""

    def __missing__(self, name: str) -> Any:
        return AWKWARD if name in OF_PATHS else 7


@pytest.mark.parametrize("row", WITH_PATHS, ids=repr)
def test_a_path_in_the_next_step_of_a_row_is_one_word(row: Row | LocalRow) -> None:
    given = Words()
    names = fields_of(row.next_step) | fields_of(row.sentence)
    step = row.error("why", **{name: given[name] for name in names - {"problem"}}).next_step
    assert shlex.quote(str(AWKWARD)) in step
    assert str(AWKWARD) not in step.replace(shlex.quote(str(AWKWARD)), "")


def unquoted(path: Path) -> Iterator[str]:
    """Yield where an f-string puts a path behind an option without quoting it."""
    for node in ast.walk(ast.parse(path.read_text())):
        parts = node.values if isinstance(node, ast.JoinedStr) else []
        for before, value in pairwise(parts):
            words = before.value if isinstance(before, ast.Constant) else ""
            if not isinstance(value, ast.FormattedValue) or not _OPTION.search(str(words)):
                continue
            if "quote(" not in ast.unparse(value.value):
                yield f"{path.relative_to(ROOT)}:{value.lineno}: {ast.unparse(value.value)}"


def test_a_path_in_a_command_that_a_verb_shows_is_quoted() -> None:
    found = [
        each
        for folder in ("device", "factory", "localcloud", "fleet", "pytest_firstboot", "advisor")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for each in unquoted(path)
    ]
    assert found == []
