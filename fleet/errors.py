"""Why a fleet does not run."""

from typing import Final


class FleetError(Exception):
    """A fleet that cannot run as it was ordered; says what to do about it."""

    def __init__(self, problem: str, next_step: str) -> None:
        """Say what is wrong and what to do about it."""
        super().__init__(problem)
        self.next_step: Final = next_step


class MisuseError(FleetError):
    """What was ordered makes no sense, or is not allowed as it was ordered."""
