"""A cloud that behaves badly now and then, within what AWS IoT may do.

The idea is Pebble's, the ACME server for tests: a client that passes here has met what it will
meet. One seed gives one sequence of moods, so that a failure can be had again.
"""

import random
from dataclasses import dataclass
from typing import Final

_LATEST_SECONDS: Final = 1.5
MOST_PERCENT: Final = 50


@dataclass(frozen=True)
class Mood:
    """What happens to one message."""

    seconds: float = 0.0
    duplicate: bool = False
    reorder: bool = False


_GOOD: Final = Mood()


class Rude:
    """Decides, request by request, whether to be rude."""

    def __init__(self, percent: int = 0, seed: int = 0) -> None:
        """Be rude in ``percent`` of all cases, 0 to 50."""
        self.percent = percent
        self.seed = seed
        self._random = random.Random(seed)  # noqa: S311  # nosec B311  (moods, no secrets)

    def throttles(self) -> bool:
        """Whether to refuse this request with 429."""
        return self._strikes()

    def for_message(self) -> Mood:
        """Return what happens to the next message to a device."""
        if not self._strikes():
            return _GOOD
        late = Mood(seconds=self._random.uniform(0, _LATEST_SECONDS))
        return self._random.choice([late, Mood(duplicate=True), Mood(reorder=True)])

    def _strikes(self) -> bool:
        return self.percent > 0 and self._random.random() * 100 < self.percent
