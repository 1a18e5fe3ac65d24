"""``scripts/bench table``: what Firstboot is measured by, P1 to P10, from one run, as markdown."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from scripts.benchmarks.comparison import Row
from scripts.benchmarks.processes import BenchError

Rows = Mapping[str, Sequence[Row]]
Measure = Callable[[str], Rows]
"""Runs the bench of that name."""


@dataclass(frozen=True)
class Line:
    """A line of the table: which rows of which bench it shows."""

    number: str
    what: str
    bench: str
    quantities: frozenset[str]
    part: str = ""
    """How the title of the bench's part begins; of every part, if that is empty."""


def _line(number: str, what: str, bench: str, *quantities: str, part: str = "") -> Line:
    return Line(number, what, bench, frozenset(quantities), part)


LINES: Final = (
    _line("P1", "first boot, whole process", "first-boot", "wall"),
    _line("P2", "its peak memory", "first-boot", "memory"),
    _line("P3", "cold start", "cold-start", "wall"),
    _line("P4", "devices at once in one process, time a device", "fleet", "wall"),
    _line("P5", "memory a simulated device", "fleet", "memory"),
    _line("P6", "`factory` on the line, time a device", "line", "wall", part="line"),
    _line("P7", "a commit of the sealed store", "commits", "wall"),
    _line("P8", "growth", "growth", "cpu", "append", "read"),
    _line("P9", "`device run` every 2 s", "run", "memory", "cpu", part="device run"),
    _line("P10", "first boot on 0.2 of a core", "slow", "wall"),
)
_HEAD: Final = (
    "| # | what | ours | yardstick | ratio | of the pairs | aim | command |",
    "|---|---|---|---|---|---|---|---|",
)


def table(measure: Measure, lines: Sequence[Line] = LINES) -> Iterator[str]:
    """Run the bench of each line, and yield the table as it grows; last, the machine's load."""
    before = os.getloadavg()[0]
    yield from _HEAD
    found: dict[str, Rows | BenchError] = {}
    for line in lines:
        if line.bench not in found:
            found[line.bench] = _measured(measure, line.bench)
        yield from _shown(line, found[line.bench])
    yield ""
    yield f"Load average before and after: {before:.1f}, {os.getloadavg()[0]:.1f}."


def _measured(measure: Measure, name: str) -> Rows | BenchError:
    try:
        return measure(name)
    except BenchError as error:
        return error


def _shown(line: Line, found: Rows | BenchError) -> Iterator[str]:
    if isinstance(found, BenchError):
        why = " ".join(str(found).split())[:100].replace("|", "/")
        yield f"| {line.number} | {line.what} | not measured: {why} | | | | | `{line.bench}` |"
        return
    for title, rows in found.items():
        if title.startswith(line.part):
            for row in (each for each in rows if each.quantity.name in line.quantities):
                yield _cells(line, title, row)


def _cells(line: Line, title: str, row: Row) -> str:
    quantity = row.quantity
    aim = "" if quantity.aim is None else f"{quantity.aim:.2f}"
    ours, other = (f"{value:.4g} {quantity.unit}" for value in (row.ours, row.yardstick))
    what = f"{line.what}: {title}, {quantity.title}"
    ratios = f"{row.ratio:.2f} | {row.paired_ratio:.2f}"
    return (
        f"| {line.number} | {what} | {ours} | {other} | {ratios} | {aim} "
        f"| `scripts/bench {line.bench}` |"
    )
