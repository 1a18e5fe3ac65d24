"""The verbs of ``localcloud``, one file each.

``SUMMARY`` says what a verb does, ``add_options`` adds its options to its parser, and ``run`` does
it, with a `StateFolder` and a `Console`.
"""

from typing import Protocol


class Console(Protocol):
    """Words for a person, or objects for a program: never both on standard output."""

    def say(self, *lines: str) -> None:
        """Tell a person what happens, on standard error."""

    def show(self, document: object, *lines: str, colour: int = 0) -> None:
        """Put out the result: ``document`` as one line of JSON, or the ``lines``.

        A terminal shows the lines in ``colour``, a parameter of SGR (ECMA-48); 0 is its own.
        """
