"""How long to wait before trying again: exponential, with full jitter, never under a second.

Full jitter spreads a fleet that lost its connection at the same moment; plain exponential
back-off would bring it back as a crowd. Sources: AWS Architecture Blog, "Exponential Backoff
And Jitter"; AWS IoT quotas: one CONNECT a second per client id.
"""

import random
from dataclasses import dataclass, field
from typing import Protocol


class Dice(Protocol):
    """Where the jitter comes from; `random.Random` is one."""

    def uniform(self, a: float, b: float) -> float:
        """Return a number between ``a`` and ``b``."""
        ...


@dataclass
class Backoff:
    """The waits between attempts, in seconds; `reset` only after a stable period."""

    shortest: float
    longest: float
    dice: Dice = field(default_factory=random.SystemRandom)
    attempts: int = 0

    def next_delay(self) -> float:
        """Return the next wait: ``shortest`` plus a random part of a range that doubles."""
        ceiling = min(self.longest, self.shortest * 2.0 ** min(self.attempts, 32))
        self.attempts += 1
        return self.shortest + self.dice.uniform(0.0, ceiling)

    def reset(self) -> None:
        """Begin again at the shortest wait."""
        self.attempts = 0
