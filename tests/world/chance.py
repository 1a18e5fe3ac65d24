"""Every accident of a world, drawn from one seed; a run can be repeated with fewer of them.

An accident has a name: its kind, whom it strikes, and how many times that could have happened
before. The draws of one name do not depend on those of another, so taking an accident away
leaves the others what they were, as far as the story allows. That is what shrinking needs.
"""

import math
from collections.abc import Callable, Mapping
from typing import Final
from zlib import crc32

Accident = tuple[str, str, int]
"""Kind, whom it strikes, and the number of the occasion."""

_MASK: Final = (1 << 64) - 1
_NEVER: Final = 1 << 62


def _mixed(number: int) -> int:
    """Return a number that looks random (splitmix64, by Sebastiano Vigna)."""
    number = (number + 0x9E3779B97F4A7C15) & _MASK
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & _MASK
    return number ^ (number >> 31)


class Chance:
    """Decides what goes wrong, and how long things take."""

    def __init__(
        self, seed: int, rates: Mapping[str, float], only: frozenset[Accident] | None = None
    ) -> None:
        """Draw from ``seed``; with ``only``, let nothing else go wrong."""
        self._seed: Final = seed
        self._rates: Final = rates
        self._only: Final = only
        self._occasions: Final[dict[tuple[str, str], list[int]]] = {}
        """By kind and victim: a base, the occasions so far, the next strike, the strikes."""
        self._draws: Final[dict[tuple[str, str], list[int]]] = {}
        self.accidents: Final[list[Accident]] = []
        self.on_strike: Callable[[Accident], None] = lambda _: None
        """Told of each accident."""
        self.is_over = False
        """Whether nothing goes wrong any more."""

    def strikes(self, kind: str, who: str) -> bool:
        """Whether the accident ``kind`` befalls ``who`` on this occasion."""
        occasion = self._occasions.get((kind, who))
        if occasion is None:
            occasion = self._occasions[kind, who] = [self._base(kind, who), 0, -1, 0]
            occasion[2] = self._next_strike(kind, occasion)
        number = occasion[1]
        occasion[1] = number + 1
        if number < occasion[2]:
            return False
        occasion[2] = self._next_strike(kind, occasion)
        if self.is_over or (self._only is not None and (kind, who, number) not in self._only):
            return False
        self.accidents.append((kind, who, number))
        self.on_strike((kind, who, number))
        return True

    def number(self, kind: str, who: str) -> float:
        """Return a number from 0 to 1 that is no accident, such as how slow a network is."""
        draw = self._draws.get((kind, who))
        if draw is None:
            draw = self._draws[kind, who] = [self._base(kind, who), 0]
        draw[1] += 1
        return _mixed(draw[0] + draw[1]) / 2**64

    def _base(self, kind: str, who: str) -> int:
        return _mixed(_mixed(self._seed) ^ crc32(f"{kind}/{who}".encode()))

    def _next_strike(self, kind: str, occasion: list[int]) -> int:
        """Return the next occasion that is struck: the gaps are geometric."""
        rate = self._rates.get(kind, 0.0)
        if rate <= 0.0:
            return _NEVER
        occasion[3] += 1
        drawn = (_mixed(occasion[0] ^ occasion[3]) + 1) / 2**64
        gap = int(math.log(min(drawn, 1.0)) / math.log1p(-min(rate, 0.999)))
        return occasion[2] + 1 + gap
