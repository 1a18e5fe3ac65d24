"""Text that others wrote, made fit to be shown: of one line, of bounded length, without secrets.

Servers, proxies, certificates and libraries put words into our events and errors. A terminal
obeys escape sequences, a log is read by its lines, and a reply may echo a token that we sent.
So such text passes `foreign` where it comes in, and everything passes `printable` once more
where it goes out.
"""

import re
from collections import deque
from typing import Final

REDACTED: Final = "<redacted>"
LONGEST: Final = 200
"""Characters of one piece of foreign text that are shown."""

_SECRETS: Final = (
    r"(?s)()-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
    # As JSON, as JSON inside a string, or as the repr of a dict or of one of the SDK's objects.
    r"""(?i)((?:private_?key|ownership_?token)\\*["']?\s*[:=]\s*\\*["'])(?:[^"'\\]|\\++(?!["']))*+""",
    r"(pin-value=)[^;&\s]+",
    # The password of a proxy; PASSWORD itself is how we write one in a next step.
    r"(://[^/\s:@]+:)(?!PASSWORD@)[^/\s@]+(?=@)",
)
"""What stands before a secret, in a group, and the secret; `re` compiles at first use."""

# C0 and C1; soft hyphen, zero width, line and paragraph separators, what turns the direction of
# writing; invisible operators; byte order mark; annotations, tags, lone surrogates.
_UNPRINTABLE: Final = (
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u2028-\u202f\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e0fff]"
)
_SHORTEST_SECRET: Final = 16
_MOST_READ: Final = 4_096
_in_use: Final[deque[str]] = deque(maxlen=64)


def hide(*secrets: str) -> None:
    """Blot each of ``secrets`` out from now on, wherever it is shown; the newest 64 are known.

    A secret of several lines, such as a key in PEM, is known by its lines as well.
    """
    for secret in secrets:
        for part in (secret, *secret.splitlines()):
            is_armour = part.startswith("-----") and "\n" not in part
            if len(part) >= _SHORTEST_SECRET and part not in _in_use and not is_armour:
                _in_use.append(part)


def redact(text: str) -> str:
    """Return ``text`` with private keys, ownership tokens, passwords and PINs blotted out."""
    return _without_patterns(_without_known(text))


def printable(text: str) -> str:
    """Return ``text`` as one line that a terminal cannot take for anything but text."""
    if text.isascii() and text.isprintable():
        return text
    return re.sub(_UNPRINTABLE, _escaped, text)


def foreign(text: str, longest: int = LONGEST) -> str:
    """Return what may be shown of ``text``, which someone else wrote."""
    whole = _without_known(text)
    shown = printable(_without_patterns(whole[:_MOST_READ]))
    cut = len(whole) - len(whole[:_MOST_READ]) + len(shown[longest:])
    return f"{shown[:longest]}... ({cut} more characters)" if cut else shown


def _without_known(text: str) -> str:
    for known in tuple(_in_use):
        text = text.replace(known, REDACTED)
    return text


def _without_patterns(text: str) -> str:
    if not (":" in text or "=" in text or "-----BEGIN" in text):
        return text  # no secret without one of them: most lines are done so
    for secret in _SECRETS:
        text = re.sub(secret, rf"\1{REDACTED}", text)
    return text


def _escaped(found: re.Match[str]) -> str:
    return found.group().encode("unicode_escape", "surrogatepass").decode("ascii")
