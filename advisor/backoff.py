"""How a client waits between its attempts: what a row of waits is evidence of.

Source: AWS IoT Device Advisor, MQTT: jitter passes, strictly exponential passes with warnings,
linear and constant fail; AWS Architecture Blog, "Exponential Backoff And Jitter".
"""

from collections.abc import Sequence
from enum import Enum
from itertools import pairwise
from statistics import fmean
from typing import Final

ENOUGH: Final = 5
"""So many waits tell the kind."""
_NOISE_SECONDS: Final = 0.06
"""By so much a busy machine shifts a wait."""
_NOISE_SHARE: Final = 0.1
_GROWTH: Final = 1.5
_MOST: Final = 0.75


class Pattern(Enum):
    """Kinds of back-off; the value is how the report says it."""

    CONSTANT = "constant"
    LINEAR = "linear"
    EXPONENTIAL = "strictly exponential"
    JITTERED = "with jitter"


def pattern(waits: Sequence[float]) -> Pattern:
    """Return the kind of back-off that ``waits`` (seconds) are; it takes at least three.

    A client that has reached its longest wait repeats it, so repetitions at the end count once.
    """
    told = _without_ceiling(waits)
    if _most_are_alike(waits) or _all_alike(told):
        return Pattern.CONSTANT
    steps = [after - before for before, after in pairwise(told)]
    if len(steps) >= 2 and _all_alike(steps):
        return Pattern.LINEAR
    if _is_exponential(told):
        return Pattern.EXPONENTIAL
    return Pattern.JITTERED


def grows(waits: Sequence[float]) -> bool:
    """Whether the later half of ``waits`` is clearly longer than the earlier half."""
    half = len(waits) // 2
    return half > 0 and fmean(waits[-half:]) >= _GROWTH * fmean(waits[:half]) + _NOISE_SECONDS


def hurries(waits: Sequence[float]) -> bool:
    """Whether the client came back at once more than once: AWS IoT takes one CONNECT a second."""
    return sum(wait <= _NOISE_SECONDS for wait in waits) > 1


def shown(waits: Sequence[float]) -> str:
    """Return ``waits`` for people."""
    return ", ".join(f"{wait:.2f}" for wait in waits) + " s"


def _without_ceiling(waits: Sequence[float]) -> list[float]:
    told = list(waits)
    while len(told) > 3 and _alike(told[-1], told[-2]):
        told.pop()
    return told


def _is_exponential(waits: Sequence[float]) -> bool:
    """Whether each wait is the one before times a factor that is the same for all."""
    if any(wait <= _NOISE_SECONDS for wait in waits[1:]):
        return False
    factor = (waits[-1] / max(waits[0], 1e-3)) ** (1 / (len(waits) - 1))
    return factor > 1.2 and all(_alike(b, a * factor) for a, b in pairwise(waits))


def _most_are_alike(waits: Sequence[float]) -> bool:
    """Whether three in four are; a client may lose a moment elsewhere now and then."""
    return any(sum(_alike(wait, each) for each in waits) >= _MOST * len(waits) for wait in waits)


def _all_alike(numbers: Sequence[float]) -> bool:
    return all(_alike(number, numbers[0]) for number in numbers)


def _alike(one: float, other: float) -> bool:
    return abs(one - other) <= _NOISE_SECONDS + _NOISE_SHARE * max(abs(one), abs(other))
