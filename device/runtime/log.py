"""Logging set-up, and the last defence of the log: no secrets, and no line that others wrote.

The firmware's own code never logs a secret, and passes foreign text through `device.text`; this
is for what other people's code might put into a message.
"""

import logging
import sys
from typing import TYPE_CHECKING, Final

from device.text import REDACTED, foreign, printable, redact

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

__all__ = ["REDACTED", "RedactingFormatter", "redact", "set_up"]

_LONGEST_LINE: Final = 2_000

_log = logging.getLogger(__name__)


class RedactingFormatter(logging.Formatter):
    """Redacts the finished line, tracebacks included, and keeps each record to its own lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the first line; whatever would begin another is escaped."""
        return _bounded(printable(redact(super().formatMessage(record))))

    def formatException(self, ei: "logging._SysExcInfoType") -> str:  # noqa: N802 - likewise
        """Return the traceback, indented, so that no line of it looks like one of ours."""
        lines = redact(super().formatException(ei)).splitlines()
        return "\n".join(f"    {_bounded(printable(line))}" for line in lines)

    def formatStack(self, stack_info: str) -> str:  # noqa: N802 - likewise
        """Return the stack in the same way."""
        return "\n".join(f"    {printable(line)}" for line in redact(stack_info).splitlines())


def set_up(level: str) -> None:
    """Log the ``device`` packages at ``level`` and the rest from WARNING, to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(RedactingFormatter("%(levelname)-7s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("device").setLevel(level.upper())
    sys.unraisablehook = _say_unraisable


def _say_unraisable(found: "UnraisableHookArgs") -> None:
    """Say in a line what a library's callback raised where nobody can catch it.

    awscrt raises so on its own thread for a SUBACK without a reason code, for example; what waited
    for the packet runs into its time-out.
    """
    problem = foreign(str(found.exc_value))
    _log.warning(
        "a callback failed, and what it was to tell is lost: %s: %s",
        found.exc_type.__name__,
        problem,
    )


def _bounded(line: str) -> str:
    if len(line) <= _LONGEST_LINE:
        return line
    return f"{line[:_LONGEST_LINE]}... ({len(line) - _LONGEST_LINE} more characters)"
