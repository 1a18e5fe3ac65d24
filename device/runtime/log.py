"""Logging set-up, and the last defence of the log: no secrets, and no line that others wrote.

A record has the wall clock, which may be wrong, and the monotonic clock, which never goes back; and
the id of what happened, the same in each run, by which a log is searched (`event_id`).

The firmware's own code never logs a secret, and passes foreign text through `device.errors.text`;
this is for what other people's code might put into a message.
"""

import logging
import sys
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from device.errors.text import REDACTED, foreign, printable, redact
from device.runtime.clock import Clock, SystemClock

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

__all__ = ["FORMATS", "REDACTED", "RedactingFormatter", "redact", "set_up", "tell"]

FORMATS: Final = ("text", "json", "journald")

_LONGEST_LINE: Final = 2_000

_EVENTS: Final = uuid.UUID("8d0f4b1e-52a7-4c9e-9a57-6f1d2f0c7b31")
_JOURNAL: Final = Path("/run/systemd/journal/socket")
_PRIORITIES: Final = (
    (logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6),
    (logging.NOTSET, 7),
)  # fmt: skip
"""syslog(3)."""
_log = logging.getLogger(__name__)
_told = logging.getLogger("device.told")


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


class _TextFormatter(RedactingFormatter):
    """Time, seconds of the monotonic clock, level, logger and message."""

    def __init__(self) -> None:
        super().__init__("%(wall)s %(monotonic)11.3f %(levelname)-7s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the first line."""
        record.wall = _wall(record)
        return super().formatMessage(record)


class _JsonFormatter(RedactingFormatter):
    """One object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        import json  # noqa: PLC0415 - only this form needs it

        return json.dumps(_fields(record, self))


class _JournalHandler(logging.Handler):
    """Sends records to journald with their fields.

    Source: systemd's "Native Journal Protocol", systemd.journal-fields(7).
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        import socket  # noqa: PLC0415 - only this form needs it

        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.connect(str(path))

    def emit(self, record: logging.LogRecord) -> None:
        """Send the record; a journal that does not take it is no reason for a device to stop."""
        try:
            self._socket.send(b"".join(_journal_fields(record)))
        except OSError:
            self.handleError(record)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
        super().close()


class _Stamp(logging.Filter):
    """Adds the monotonic clock to each record."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def filter(self, record: logging.LogRecord) -> bool:
        """Stamp the record and let it pass."""
        record.monotonic = round(self._clock.monotonic(), 6)
        return True


def set_up(
    level: str, form: str = "text", *, clock: Clock | None = None, journal: Path = _JOURNAL
) -> None:
    """Log the ``device`` packages at ``level`` and the rest from WARNING.

    ``form`` is one of `FORMATS`. ``text`` and ``json`` go to standard error, ``journald`` to the
    socket ``journal``, and as text to standard error where there is none.
    """
    handler = _handler(form, journal)
    handler.addFilter(_Stamp(clock or SystemClock()))
    _told.setLevel(logging.ERROR if level == "error" else logging.INFO)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("device").setLevel(level.upper())
    sys.unraisablehook = _say_unraisable


def tell(words: str, event: str) -> None:
    """Log what a person is told of the device's way, such as a step; ``event`` is its name."""
    _told.info("%s", words, extra={"event": event})


def event_id(record: logging.LogRecord) -> str:
    """Return 32 hexadecimal digits that stand for what happened, whatever the values in it."""
    name = getattr(record, "event", None) or f"{record.name}: {record.msg}"
    return uuid.uuid5(_EVENTS, name).hex


def _handler(form: str, journal: Path) -> logging.Handler:
    if form == "journald":
        try:
            return _JournalHandler(journal)
        except OSError as error:
            _log.warning("the journal cannot be used, standard error is: %s", error)
    handler = logging.StreamHandler()
    handler.setFormatter(_JsonFormatter() if form == "json" else _TextFormatter())
    return handler


def _fields(record: logging.LogRecord, formatter: logging.Formatter) -> Mapping[str, object]:
    record.message = record.getMessage()
    fields = {
        "time": _wall(record),
        "monotonic": getattr(record, "monotonic", None),
        "level": record.levelname.lower(),
        "logger": record.name,
        "event": event_id(record),
        "message": _bounded(printable(redact(record.message))),
    }
    if record.exc_info:
        fields["exception"] = formatter.formatException(record.exc_info)
    return fields


def _journal_fields(record: logging.LogRecord) -> list[bytes]:
    fields = _fields(record, RedactingFormatter())
    priority = next(number for level, number in _PRIORITIES if record.levelno >= level)
    sent = {
        "MESSAGE": "\n".join(
            filter(None, (str(fields["message"]), str(fields.get("exception", ""))))
        ),
        "MESSAGE_ID": fields["event"],
        "PRIORITY": priority,
        "SYSLOG_IDENTIFIER": "device",
        "FIRSTBOOT_LOGGER": fields["logger"],
        "FIRSTBOOT_TIME": fields["time"],
        "FIRSTBOOT_MONOTONIC": fields["monotonic"],
    }
    return [_journal_field(name, str(value).encode()) for name, value in sent.items()]


def _journal_field(name: str, value: bytes) -> bytes:
    """Return a field; its length goes before a value of several lines."""
    if b"\n" not in value:
        return b"%s=%s\n" % (name.encode(), value)
    return b"%s\n%s%s\n" % (name.encode(), len(value).to_bytes(8, "little"), value)


def _wall(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


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
