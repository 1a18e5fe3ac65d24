"""Every command that a document shows exists, with every option that is shown with it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts._docs import help_of

ROOT = Path(__file__).parents[2]
COMMANDS = ("device", "factory", "localcloud")
BLOCK = re.compile(r"^```(?:sh|console)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINE = re.compile(rf"(?:^|\$ |&& |\()((?:{'|'.join(COMMANDS)}) [^|\n]*)", re.MULTILINE)


def shown() -> Iterator[tuple[str, str]]:
    """Yield document and command line for every command in a code block."""
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for block in BLOCK.findall(path.read_text(encoding="utf-8")):
            joined = re.sub(r"\n {4,}(?=\[|--)", " ", block)
            for line in LINE.findall(joined):
                yield path.name, re.split(r"[)\"#]| && ", line)[0].strip()


SHOWN = sorted(set(shown()))


def test_the_walk_sees_every_verb_that_matters() -> None:
    verbs = {" ".join(line.split()[:2]) for _, line in SHOWN}
    assert {"device boot", "device run", "factory make", "localcloud up"} <= verbs


@pytest.mark.parametrize(("document", "line"), SHOWN)
def test_it_exists_with_its_options(document: str, line: str) -> None:
    words = line.translate(str.maketrans("", "", "[]")).split()
    has_verb = len(words) > 1 and not words[1].startswith("-")
    known = help_of(" ".join(words[: 2 if has_verb else 1]))
    assert known, f"{document}: there is no such verb"
    options = [word for word in words if word.startswith("--")]
    assert [option for option in options if not re.search(rf"{option}\b", known)] == []
