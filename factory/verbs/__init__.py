"""The verbs of ``factory``, one file each.

``SUMMARY`` says what a verb does, ``add_options`` adds its options to its parser, and ``run`` does
it, with a `Console`. A file whose name begins with ``_`` is shared by verbs.
"""

from typing import Protocol


class Console(Protocol):
    """Where a verb's words and data go: words for a person, and the result.

    Only the command line knows that it is a terminal.
    """

    def say(self, *lines: str) -> None:
        """Tell a person what happens, on standard error."""

    def show(self, document: object, *lines: str) -> None:
        """Put out the result: ``document`` as one line of JSON, or the ``lines``."""
