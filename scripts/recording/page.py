"""A method's page in docs/: the commands that it shows, and the parts that a recording fills."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from scripts.demonstration.methods import METHODS

CHECKOUT: Final = Path(__file__).resolve().parents[2]
PAGES: Final[Mapping[str, Path]] = {name: CHECKOUT / "docs" / f"{name}.md" for name in METHODS}
RUN: Final = "Run it"
BREAK: Final = "Break it"
CLEAN_UP: Final = "Clean up"
_CHAPTER: Final = r"^## {}$(?P<text>.*?)(?=^## |\Z)"
_BLOCK: Final = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_BREAKAGE: Final = re.compile(r"^\*\*(.*?)\*\*.*?^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_BYTES: Final = re.compile(r"\| \d+ \|")


class RecordingError(Exception):
    """A page has not the shape of the others, or could not be played to its end."""


def commands(page: str, chapter: str) -> list[str]:
    """Return the command lines of the ``sh`` blocks in a chapter.

    Raises:
        RecordingError: there are none.
    """
    found = re.search(_CHAPTER.format(chapter), page, re.MULTILINE | re.DOTALL)
    blocks = _BLOCK.findall(found["text"]) if found else []
    lines = [line for block in blocks for line in _whole_lines(block) if line]
    if not lines:
        raise RecordingError(f"no commands under {chapter!r}")
    return lines


def breakages(page: str) -> list[tuple[str, list[str]]]:
    """Return each way to break a method: its words in bold, and its command lines.

    A line that has to fail ends with a remark, ``# FB-403``.
    """
    chapter = re.search(_CHAPTER.format(BREAK), page, re.MULTILINE | re.DOTALL)
    found = _BREAKAGE.findall(chapter["text"]) if chapter else []
    return [(" ".join(words.split()), _whole_lines(block)) for words, block in found]


def with_recording(page: str, recorded: Mapping[str, str]) -> str:
    """Return ``page`` with what lies between each pair of marks written again.

    Raises:
        RecordingError: a pair of marks is missing.
    """
    for name, text in recorded.items():
        begin, end = f"<!-- {name}: by scripts/docs --record -->", f"<!-- {name}: end -->"
        before, found, rest = page.partition(begin)
        _, closed, after = rest.partition(end)
        if not (found and closed):
            raise RecordingError(f"no place for {name!r}")
        page = f"{before}{begin}\n\n{text}\n\n{end}{after}"
    return page


def without_sizes(page: str) -> str:
    """Return ``page`` without packet sizes: signatures, and so PEMs, vary by some bytes."""
    return _BYTES.sub("| N |", page)


def _whole_lines(block: str) -> list[str]:
    return re.sub(r" *\\\n *", " ", block).splitlines()
