"""How long a test waits for what must come: long enough on any machine, so only a hang fails."""

from typing import Final

SECONDS: Final = 120
