"""The verbs of ``localcloud``, one file each.

``SUMMARY`` says what a verb does, ``add_options`` adds its options to its parser, and ``run`` does
it, with a `StateFolder` and a `Console`.
"""

from typing import Protocol


class Console(Protocol):
    """Words for a person, or objects for a program: never both on standard output."""

    def say(self, *lines: str) -> None:
        """Tell a person what happens, on standard error."""

    def show(self, document: object, *lines: str) -> None:
        """Put out the result: ``document`` as one line of JSON, or the ``lines``."""

    @property
    def is_colourful(self) -> bool:
        """Whether standard output is a terminal that may be given colours."""
