"""Two sides measured in turn, and the ratio between them.

A machine's speed drifts, so the sides alternate, and who begins alternates too; the median
leaves the odd slow run out. The ratio is given twice: of the two medians, and as the median
of the ratios pair by pair, which drift cannot touch.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

Figures = Mapping[str, float]
"""What one run measured, by the name of the quantity."""
Side = Callable[[int], Figures]
"""Does one run; the argument counts the rounds from 0, the one to warm up included."""


@dataclass(frozen=True)
class Quantity:
    """Something that is measured, and how much of the yardstick it may be."""

    name: str
    title: str
    unit: str
    aim: float | None = None


@dataclass(frozen=True)
class Row:
    """One quantity of one side, against the yardstick."""

    quantity: Quantity
    ours: float
    yardstick: float
    ratio: float
    """Of the medians."""
    paired_ratio: float
    """The median of the ratios of the pairs."""

    @property
    def meets_aim(self) -> bool | None:
        """Whether the ratio of the medians is within the aim; None without an aim."""
        return None if self.quantity.aim is None else self.ratio <= self.quantity.aim


def alternate(sides: Sequence[Side], rounds: int) -> list[list[Figures]]:
    """Run every side once a round, after one round that does not count; a list a side."""
    found: list[list[Figures]] = [[] for _ in sides]
    for number in range(rounds + 1):
        order = list(enumerate(sides))
        for index, side in order if number % 2 else reversed(order):
            figures = side(number)
            if number:
                found[index].append(figures)
    return found


def compare(
    quantities: Sequence[Quantity], ours: Sequence[Figures], yardstick: Sequence[Figures]
) -> list[Row]:
    """Return a row a quantity; the two sides hold as many runs, pair by pair."""
    return [_row(quantity, ours, yardstick) for quantity in quantities]


def _row(quantity: Quantity, ours: Sequence[Figures], yardstick: Sequence[Figures]) -> Row:
    pairs = [
        (mine[quantity.name], other[quantity.name])
        for mine, other in zip(ours, yardstick, strict=True)
    ]
    mine, other = median(pair[0] for pair in pairs), median(pair[1] for pair in pairs)
    paired = median(_ratio(*pair) for pair in pairs)
    return Row(quantity, mine, other, _ratio(mine, other), paired)


def _ratio(mine: float, other: float) -> float:
    return mine / other if other else math.nan
