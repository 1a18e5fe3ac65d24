"""Logging set-up, and the filter that keeps secrets out of it whoever logs them.

The firmware's own code never logs a secret; the filter is for what other people's code
might put into a message.
"""

import logging
import re
from typing import Final

REDACTED: Final = "<redacted>"

_SECRETS: Final = (
    re.compile(
        r"()-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
    ),
    # As JSON, as JSON inside a string, or as the repr of a dict or of one of the SDK's objects.
    re.compile(
        r"""((?:private_?key|ownership_?token)\\*["']?\s*[:=]\s*\\*["'])(?:(?!\\*["']).)*""",
        re.DOTALL | re.IGNORECASE,
    ),
    re.compile(r"(pin-value=)[^;&\s]+"),
)
"""What stands before a secret, in a group, and the secret."""


def redact(text: str) -> str:
    """Return ``text`` with private keys, ownership tokens and PINs blotted out."""
    for secret in _SECRETS:
        text = secret.sub(rf"\1{REDACTED}", text)
    return text


class RedactingFormatter(logging.Formatter):
    """Redacts the finished line, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line without secrets."""
        return redact(super().format(record))


def set_up(level: str) -> None:
    """Log the ``device`` packages at ``level`` and the rest from WARNING, to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(RedactingFormatter("%(levelname)-7s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("device").setLevel(level.upper())
