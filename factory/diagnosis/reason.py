"""A reason why a device is refused, as data."""

from msgspec import Struct

from device.errors import FirstbootError, Row


class Reason(Struct, frozen=True):
    """One reason; the first of an explanation is the one that AWS IoT meets first."""

    about: str
    """What it is about, such as ``certificate`` or ``policy``."""
    code: str
    """The row of the catalogue, such as ``FB-763``."""
    reason: str
    """The title of the row."""
    evidence: str
    """What the account shows."""
    next_step: str


def reason(row: Row, about: str, evidence: str, next_step: str = "") -> Reason:
    """Return the reason of ``row``; a ``next_step`` of its own goes before the row's."""
    return Reason(about, row.code, row.title, printable(evidence), next_step or row.next_step)


def printable(text: str) -> str:
    """Return ``text``, which others wrote, as one line that moves no cursor."""
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def error_of(row: Row, found: Reason) -> FirstbootError:
    """Return ``found`` as the error that a command ends with."""
    return row.error(f"{found.reason}: {found.evidence}", next_step=found.next_step)
