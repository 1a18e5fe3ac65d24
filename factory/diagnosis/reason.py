"""A reason why a device is refused, as data."""

from collections.abc import Sequence

from msgspec import Struct

from device.errors import FirstbootError, Row
from device.errors.text import printable
from factory.errors.catalogue import CATALOGUE


class Reason(Struct, frozen=True):
    """One reason; the first of an explanation is the one that AWS IoT meets first."""

    about: str
    """What it is about, such as ``certificate`` or ``policy``."""
    code: str
    """The row of the catalogue, such as ``FB-803``."""
    reason: str
    """The title of the row."""
    evidence: str
    """What the account shows."""
    next_step: str


def reason(row: Row, about: str, evidence: str, next_step: str = "") -> Reason:
    """Return the reason of ``row``; a ``next_step`` of its own goes before the row's."""
    return Reason(about, row.code, row.title, printable(evidence), next_step or row.next_step)


def refused(found: Sequence[Reason]) -> FirstbootError:
    """Return the error that a command ends with after it has shown the reasons ``found``.

    It is of the first one's row, and does not repeat its words.
    """
    first = found[0]
    words = "1 reason is" if len(found) == 1 else f"{len(found)} reasons are"
    step = f"Do what reason 1 says under next; factory explain {first.code} says more."
    return CATALOGUE[first.code].error(f"AWS IoT refuses it; {words} shown above", next_step=step)
