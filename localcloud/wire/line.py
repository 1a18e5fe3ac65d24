"""One event of the wire as a line of text."""

from collections.abc import Mapping
from typing import Any, Final

from localcloud.errors import NoAnswerError

_GREEN, _BLUE, _RED, _GREY = 32, 34, 31, 90  # SGR of ECMA-48
_ARROWS: Final = {"device": "->", "cloud": "<-"}
_SHOWN: Final = (
    "client_id",
    "server_name",
    "tls",
    "certificate_id",
    "topics",
    "qos",
    "fields",
    "reason_codes",
    "reason",
)
_FIRST_REFUSAL: Final = 0x80  # of a reason code: MQTT 5, 2.4

Event = dict[str, Any]


def numbered_events(answer: object) -> list[Event]:
    """Return the events of the wire in ``answer``.

    Raises:
        NoAnswerError: it is no list of events.
    """
    if isinstance(answer, list) and all(isinstance(e, dict) and "number" in e for e in answer):
        return answer
    raise NoAnswerError(f"the answer is not a list of events: {answer}")


def line_of(event: Mapping[str, Any]) -> str:
    """Return what a person reads of ``event``; a refusal has its reason beside it."""
    facts = [f"{name}={_text(event[name])}" for name in _SHOWN if event.get(name) not in (None, [])]
    name = event.get("packet") or event.get("event") or "?"
    arrow = _ARROWS.get(str(event.get("by")), "--")
    head = f"{event.get('connection', '?'):>4} {event.get('ms', 0):>9.1f} ms {arrow} {name:<11}"
    return " ".join([head, *facts])


def colour_of(event: Mapping[str, Any]) -> int:
    """Return the colour of its line: red is a refusal, blue the device, green the cloud."""
    if is_refusal(event):
        return _RED
    if event.get("event"):
        return _GREY
    return _BLUE if event.get("by") == "device" else _GREEN


def is_refusal(event: Mapping[str, Any]) -> bool:
    """Whether the broker refuses something with ``event``."""
    return bool(event.get("reason") or refused_codes(event))


def refused_codes(event: Mapping[str, Any]) -> list[int]:
    """Return the reason codes of ``event`` that say no: MQTT 5, 2.4."""
    return [code for code in event.get("reason_codes") or [] if int(code) >= _FIRST_REFUSAL]


def _text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
