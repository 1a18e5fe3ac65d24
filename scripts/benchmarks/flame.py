"""A flame graph as a small picture, from what ``py-spy record -f raw`` wrote.

    python -m scripts.benchmarks.flame profile.raw picture.svg "What it shows"

A box is a function, as wide as its share of the samples; below it is who called it. What has less
than a hundredth of the samples, and the frames that begin every stack alike, are left out.
"""

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Final

_WIDTH, _ROW, _TOP, _MARGIN = 960, 17, 30, 8
_LEAST: Final = 0.01
_CHARACTER: Final = 6.2
"""Points of a letter, so that a name is cut where its box ends."""
_LINE: Final = re.compile(r":\d+\)$")
_COLOURS: Final = {
    "device": "#7fb8e8", "fleet": "#9ad3a4", "localcloud": "#f2b36b", "ministack": "#f6d58a",
}  # fmt: skip


@dataclass
class Frame:
    """A function, called by the frame below it."""

    name: str
    samples: int = 0
    calls: dict[str, "Frame"] = field(default_factory=dict)

    def add(self, stack: Sequence[str], samples: int) -> None:
        """Count the samples of a stack that goes on from here."""
        self.samples += samples
        if stack:
            child = self.calls.setdefault(stack[0], Frame(stack[0]))
            child.add(stack[1:], samples)


@dataclass(frozen=True)
class Box:
    """A frame on the picture; ``left`` and ``share`` are parts of the width."""

    name: str
    depth: int
    left: float
    share: float


def tree_of(lines: Iterable[str]) -> Frame:
    """Return the frames of ``stack;of;frames COUNT`` lines, from the first that calls several."""
    root = Frame("all")
    for line in lines:
        stack, _, count = line.rpartition(" ")
        root.add([_LINE.sub(")", each) for each in stack.split(";")], int(count))
    while len(root.calls) == 1:
        root = next(iter(root.calls.values()))
    return root


def boxes(root: Frame) -> Iterator[Box]:
    """Yield what is wide enough to be drawn."""
    yield from _boxes(root, root.samples, 0, 0.0)


def _boxes(frame: Frame, whole: int, depth: int, left: float) -> Iterator[Box]:
    yield Box(frame.name, depth, left, frame.samples / whole)
    for child in sorted(frame.calls.values(), key=lambda each: -each.samples):
        if child.samples >= _LEAST * whole:
            yield from _boxes(child, whole, depth + 1, left)
        left += child.samples / whole


def picture(found: Sequence[Box], title: str) -> str:
    """Return the picture, the first caller at the bottom."""
    deepest = max(each.depth for each in found)
    height = _TOP + (deepest + 1) * _ROW + _MARGIN
    rows = "".join(_drawn(each, height) for each in found)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="#fff"/>'
        f'<text x="{_MARGIN}" y="19" font-size="14">{escape(title)}</text>{rows}</svg>\n'
    )


def _drawn(box: Box, height: int) -> str:
    inner = _WIDTH - 2 * _MARGIN
    x, wide = _MARGIN + box.left * inner, box.share * inner
    y = height - _MARGIN - (box.depth + 1) * _ROW
    letters = int((wide - 4) / _CHARACTER)
    said = f"{box.name.partition(' (')[0]} {box.share:.0%}"
    words = said if len(said) <= letters else said[: max(letters - 1, 0)]
    text = f'<text x="{x + 2:.1f}" y="{y + 12}">{escape(words)}</text>' if letters > 3 else ""
    return (
        f'<g><title>{escape(box.name)} {box.share:.1%}</title><rect x="{x:.1f}" y="{y}" '
        f'width="{max(wide - 0.5, 0.5):.1f}" height="{_ROW - 1}" fill="{_colour(box.name)}"/>'
        f"{text}</g>"
    )


def _colour(name: str) -> str:
    place = name.partition(" (")[2]
    return next((colour for room, colour in _COLOURS.items() if place.startswith(room)), "#ddd")


def main() -> None:
    """Draw one picture."""
    source, target, title = sys.argv[1:]
    root = tree_of(Path(source).read_text(encoding="utf-8").splitlines())
    Path(target).write_text(picture(list(boxes(root)), title), encoding="utf-8")


if __name__ == "__main__":
    main()
