"""Where a verb's words and data go; ``cli`` has the only one that prints."""

from typing import Protocol


class Console(Protocol):
    """The terminal, as a verb with a page of its own sees it."""

    def say(self, *lines: str) -> None:
        """Show lines to the person at the station."""
        ...

    def show(self, *lines: str) -> None:
        """Hand lines to whoever reads stdout."""
        ...

    def put(self, **fields: object) -> None:
        """Hand one JSON object to whoever reads stdout."""
        ...
