"""Where a verb's words and data go; only the command line knows that it is a terminal."""

from typing import Protocol


class Console(Protocol):
    """Words for a person on standard error, data on standard output."""

    def say(self, *lines: str) -> None:
        """Tell a person what happens, on standard error."""

    def show(self, document: object, *lines: str) -> None:
        """Put out the result: ``document`` as one line of JSON, or the ``lines``."""
