"""A sequence diagram as SVG: device and AWS IoT, an arrow a packet, notes of the registry.

It has no id, size or time, so two recordings of the same exchange are the same picture.
"""

from collections.abc import Sequence
from html import escape
from typing import Final

from scripts.illustrated.happenings import Connection, Event, Row

_WIDTH: Final = 760
_DEVICE: Final = 60
_CLOUD: Final = 520
_NOTE: Final = 540
_LINE: Final = 26
_NOTE_LINE: Final = 16
_TOP: Final = 56
_LONGEST: Final = 62
_STYLE: Final = (
    "text{font:13px system-ui,sans-serif;fill:#1c2430}.soft,.note{fill:#5b6675;font-size:12px}"
    ".head{font-weight:600}.life{stroke:#9aa5b4;stroke-dasharray:3 4}.device{stroke:#1f5fbf}"
    ".cloud{stroke:#1b7a43}.bad{stroke:#b3202a}text.bad{fill:#b3202a;stroke:none}"
    "path{fill:none;stroke-width:1.5}rect{fill:#eef2f8;stroke:#c9d2df}"
    "@media(prefers-color-scheme:dark){text{fill:#e4e9f0}.soft,.note{fill:#98a4b3}"
    ".device{stroke:#7db2ff}.cloud{stroke:#6fd39a}.bad{stroke:#ff8a8a}text.bad{fill:#ff8a8a}"
    "rect{fill:#242c38;stroke:#3a4555}}"
)


def diagram(connections: Sequence[Connection], title: str, failed: Event | None = None) -> str:
    """Return the picture; the event ``failed``, if any, is red."""
    lines: list[str] = []
    y = _TOP
    for connection in connections:
        y += _LINE
        words = f"TLS, with its certificate, as {connection.client_id}"
        lines.append(_text(_DEVICE + 8, y, words, "soft head"))
        note = y
        for each in connection.happened:
            if "kind" in each:
                note = max(note + _NOTE_LINE, y)
                lines.append(_note(each, note))
            elif "packet" in each or each is failed or _ends_it(each, connection):
                y += _LINE
                lines.append(_arrow(each, y, is_bad=each is failed))
        y += _LINE  # not by the number of notes: when a row is written is a matter of chance
    height = y + _LINE
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>{_STYLE}</style>",
            *_life(_DEVICE, "device", height),
            *_life(_CLOUD, "AWS IoT", height),
            *lines,
            "</svg>\n",
        ]
    )


def _life(x: int, name: str, height: int) -> list[str]:
    return [
        f'<rect x="{x - 52}" y="12" width="104" height="28" rx="6"/>',
        _text(x, 31, name, "head", "middle"),
        f'<path class="life" d="M{x} 40V{height - 8}"/>',
    ]


def _ends_it(event: Event, connection: Connection) -> bool:
    return connection.is_refused and event.get("event") == "refused"


def _arrow(event: Event, y: int, *, is_bad: bool) -> str:
    by = str(event["by"])
    tone = "bad" if is_bad or event.get("event") == "refused" else by
    start, end, back = (_DEVICE, _CLOUD, -6) if by == "device" else (_CLOUD, _DEVICE, 6)
    path = f"M{start} {y}H{end}m{back} -4l{-back} 4l{back} 4"
    words = _text(290, y - 5, label(event), "bad" if tone == "bad" else "", "middle")
    return f'<path class="{tone}" d="{path}"/>{words}'


def _note(row: Row, y: int) -> str:
    words = f"{row['kind']} {'gone' if row['is_gone'] else (row['words'] or [''])[0]}"
    return _text(_NOTE, y + 4, words, "note")


def label(event: Event) -> str:
    """Return what a packet is, without anything that differs from run to run."""
    topics = event.get("topics") or []
    name = str(event.get("packet") or event.get("event"))
    if event.get("event") == "closed":
        name = "closes the connection"
    if event.get("event") == "refused":
        return "refuses, and closes the connection without a word"
    about = f"{len(topics)} topic filters" if len(topics) > 1 else "".join(topics)
    words = f"{name} {about}".strip()
    if len(words) <= _LONGEST:
        return words
    return f"{words[: _LONGEST // 2]}…{words[-_LONGEST // 2 :]}"  # the end says accepted or not


def _text(x: int, y: int, words: str, tone: str = "", anchor: str = "start") -> str:
    placed = f' text-anchor="{anchor}"' if anchor != "start" else ""
    marked = f' class="{tone}"' if tone else ""
    return f'<text x="{x}" y="{y}"{placed}{marked}>{escape(words)}</text>'
