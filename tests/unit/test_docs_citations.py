"""What code and documents cite is in the repository: facts by section, decisions, pages."""

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
FOLDERS: Final = (
    "device",
    "factory",
    "localcloud",
    "advisor",
    "fleet",
    "packaging",
    "pytest_firstboot",
    "lambdas",
    "scripts",
    "tests",
    "docs",
    "config",
)
KINDS: Final = {".py", ".md", ".yaml", ".cfg", ".json"}
FACTS: Final = (ROOT / "docs" / "aws-iot-facts.md").read_text(encoding="utf-8")
SECTIONS: Final = set(re.findall(r"^#{2,3} (\d+(?:\.\d+)?)", FACTS, re.MULTILINE))
DECISIONS: Final = {int(path.name[:4]) for path in (ROOT / "docs" / "adr").glob("*.md")}
ITSELF: Final = Path(__file__)

_NUMBER: Final = r"\d+(?:\.\d+)?"
FACTS_CITED: Final = re.compile(
    rf"([\w./-]*aws-iot-facts\.md)\)?`?(?:,? ({_NUMBER}(?:(?:,| and| to|, and) {_NUMBER})*))?"
)
SECTION_CITED: Final = re.compile(rf"\[facts ({_NUMBER}(?:(?:,| and) {_NUMBER})*)\]")
DECISION_CITED: Final = re.compile(r"(?:\bADR (\d+)|\badr/(\d{4}))")
PAGE_CITED: Final = re.compile(r"(?<![\w/])docs/((?:adr/)?[\w-]+\.md)\b")


@functools.cache
def texts() -> dict[str, str]:
    """Return by name, in one line each, all that may cite something."""
    return dict(_texts())


def _texts() -> Iterator[tuple[str, str]]:
    paths = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
    for path in [*ROOT.glob("*.md"), *paths]:
        if path.suffix in KINDS and path != ITSELF:
            text = path.read_text(encoding="utf-8", errors="replace")
            yield str(path.relative_to(ROOT)), re.sub(r"\s+(?:# )?", " ", text)


def cited(pattern: re.Pattern[str]) -> list[tuple[str, str]]:
    """Return file and citation for whatever ``pattern`` finds."""
    found = [(name, match) for name, text in texts().items() for match in pattern.finditer(text)]
    return [(name, next(filter(None, match.groups()), "")) for name, match in found]


def test_the_facts_are_cited_where_they_are() -> None:
    places = {(name, place) for name, place in cited(FACTS_CITED) if place != "../aws-iot-facts.md"}
    assert len(places) > 20
    elsewhere = {"docs/aws-iot-facts.md", "aws-iot-facts.md"}
    assert [each for each in places if each[1] not in elsewhere] == []


def test_each_section_that_is_cited_exists() -> None:
    matches = [(name, m[2]) for name, text in texts().items() for m in FACTS_CITED.finditer(text)]
    numbers = [(name, each) for name, all_ in [*matches, *cited(SECTION_CITED)] if all_
               for each in re.findall(_NUMBER, all_)]  # fmt: skip
    assert len(numbers) > 30
    assert [each for each in numbers if each[1] not in SECTIONS] == []


def test_each_tag_of_a_fact_is_explained() -> None:
    table = FACTS.partition("### 0.1 Tags")[2].partition("### 0.2")[0]
    explained = set(re.findall(r"^\| (\S+)(?: / (\S+))? \|", table, re.MULTILINE))
    tags = {tag for row in explained for tag in row if tag}
    used = set(re.findall(r"\[([A-Z][A-Z0-9#-]+)(?=[ ,\]])", FACTS)) - {"TAG"}
    assert len(used) > 10
    assert used - tags == set()


def test_each_decision_that_is_cited_exists() -> None:
    numbers = [(name, int(number)) for name, number in cited(DECISION_CITED)]
    assert len(numbers) > 15
    assert [each for each in numbers if each[1] not in DECISIONS] == []


def test_decisions_are_numbered_without_a_gap() -> None:
    assert sorted(DECISIONS) == list(range(1, len(DECISIONS) + 1))


@pytest.mark.parametrize("page", sorted({page for _, page in cited(PAGE_CITED)}))
def test_each_page_that_is_cited_exists(page: str) -> None:
    assert (ROOT / "docs" / page).exists()
