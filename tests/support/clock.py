"""A clock that tests move by hand."""


class FakeClock:
    """Wall time and monotonic time that pass only when told to."""

    def __init__(self, wall: float = 1_790_000_000.0) -> None:
        self._wall = wall
        self._monotonic = 0.0

    def wall(self) -> float:
        """Return seconds since the epoch."""
        return self._wall

    def monotonic(self) -> float:
        """Return seconds since this clock was made."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let time pass on both clocks."""
        self._wall += seconds
        self._monotonic += seconds

    def set_wall(self, wall: float) -> None:
        """Set the wall clock, as NTP does; monotonic time takes no notice."""
        self._wall = wall
