"""How long devices take to come back from what befell them."""

import math
from typing import Final

WHILE_SECONDS: Final = 5_400.0
INACTIVE_SECONDS: Final = 7_200.0
NO_POLICY_SECONDS: Final = 7_200.0
LASTS: Final = {
    **dict.fromkeys(
        ("offline for a while", "disk full for a while", "disk failing for a while",
         "token away for a while"),
        WHILE_SECONDS,
    ),
    "certificate INACTIVE for a while": INACTIVE_SECONDS,
    "no policy at first": NO_POLICY_SECONDS,
    **dict.fromkeys(
        ("power cut", "power cut at a call on the disk", "power cut inside a write", "reset",
         "decommissioned", "in a hurry"),
        math.inf,
    ),
}  # fmt: skip
"""Seconds from the beginning of an accident to its end; infinity: until the power is back."""


class Comebacks:
    """By device, what struck it and is not over yet; by kind, how long the others took."""

    def __init__(self) -> None:
        """Begin with nothing that happened."""
        self._open: Final[dict[str, list[tuple[str, float]]]] = {}
        """Kind, and when it ended or will end."""
        self.seconds: Final[dict[str, list[float]]] = {}
        """From the end of an accident until its victim was connected with a proven identity."""

    def struck(self, kind: str, who: str, now: float) -> None:
        """``kind`` befalls ``who``; what it did not come back from yet ends with it, or later."""
        end = now + LASTS.get(kind, 0.0)
        earlier = [(each, max(until, end)) for each, until in self._of(who)]
        self._open[who] = [*earlier, (kind, end)]

    def power_is_back(self, who: str, now: float) -> None:
        """End what lasts until the power is back."""
        self._open[who] = [(kind, now if end == math.inf else end) for kind, end in self._of(who)]

    def at_home(self, who: str, now: float) -> None:
        """``who`` is connected with its proven identity."""
        for kind, end in self._of(who):
            if end <= now:
                self.seconds.setdefault(kind, []).append(now - end)
        self._open[who] = [each for each in self._of(who) if each[1] > now]

    def _of(self, who: str) -> list[tuple[str, float]]:
        return self._open.get(who, [])
