"""One page of the Illustrated First Boot, from what was recorded of a method.

What differs from run to run (bytes, ids, keys) is in elements of the class ``v``: ``shape`` leaves
them out, so that two recordings of the same exchange have the same shape. It leaves out the rows of
the registry, too: the method pages compare these, and when one is written is a matter of chance.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Final

from scripts.illustrated.diagram import diagram
from scripts.illustrated.dissection import Part, dissected
from scripts.illustrated.happenings import Connection, Event, Row, connections, failure, why

_VARIES: Final = re.compile(
    r'<(code|span) class="v">.*?</\1>|<aside.*?</aside>\n?|<text [^>]*class="note".*?</text>\n?',
    re.DOTALL,
)
_CODE: Final = re.compile(r"# (FB-\d+)$", re.MULTILINE)
_ID: Final = re.compile(r"\b[0-9a-f]{12,64}\b")
_ABOUT: Final = (
    "Every byte below went over the wire between the device and the local AWS of this project, "
    "inside TLS. Point at bytes, or move to them with the Tab key, and read what they say."
)
_ABOUT_ALL: Final = (
    "Each way in which a device gets its first identity from AWS IoT Core, packet by packet, as "
    "recorded from a run. The pages work without a server."
)
_ABOUT_TLS: Final = (
    "TLS itself, which carries all of this, is explained byte by byte in "
    '<a href="https://tls13.xargs.org/">The Illustrated TLS 1.3 Connection</a>.'
)
_CHANGING_PARTS: Final = frozenset({"remaining length", "packet id"})
_CSS_AND_SCRIPT: Final = (
    '<link rel="stylesheet" href="illustrated.css">\n<script src="illustrated.js" defer></script>'
)


@dataclass(frozen=True)
class Broken:
    """A variant that fails: its words, its command lines, and what was recorded."""

    words: str
    lines: Sequence[str]
    told: Mapping[str, Any]


def page(
    method: str,
    title: str,
    told: Mapping[str, Any],
    broken: Sequence[Broken],
    methods: Sequence[str],
) -> str:
    """Return the page of ``method``; ``told`` is what ``GET watch/0`` answers after a run."""
    happened = connections(told)
    on_the_wire = [each for each in broken if each.told["events"]]
    failures = [text for n, each in enumerate(on_the_wire, 1) for text in _broken(n, each)]
    if failures:
        failures.insert(0, '<h2 id="failures">When it fails</h2>\n<div class="side">')
        failures.append("</div>")
    return "\n".join([
        _head(f"The Illustrated First Boot: {method}"),
        _navigation(method, methods),
        f"<h1>The Illustrated First Boot: {escape(method)}</h1>",
        f"<p>{escape(title)} {_ABOUT} <a href='../{method}.md'>How to run it yourself</a>.</p>",
        f'<figure><img src="{method}.svg" alt="the sequence of the packets, as below"></figure>',
        *(text for number, each in enumerate(happened, 1) for text in _connection(number, each)),
        *failures,
        "</body>\n</html>\n",
    ])  # fmt: skip


def index(titles: Mapping[str, str]) -> str:
    """Return the page that leads to the pages of the methods."""
    lines = [
        f'<li><a href="{method}.html">{escape(method)}</a>: {escape(title)}</li>'
        for method, title in titles.items()
    ]
    return "\n".join([
        _head("The Illustrated First Boot"),
        "<h1>The Illustrated First Boot</h1>",
        f"<p>{_ABOUT_ALL}</p>",
        "<ul>", *lines, "</ul>",
        f"<p>{_ABOUT_TLS}</p>",
        "</body>\n</html>\n",
    ])  # fmt: skip


def shape(text: str) -> str:
    """Return a page without what differs from run to run."""
    return _ID.sub("ID", _VARIES.sub("", text))


def write(folder: Path, pages: Mapping[str, str]) -> None:
    """Write each page whose shape has changed."""
    folder.mkdir(exist_ok=True)
    for name, text in pages.items():
        path = folder / name
        if not path.exists() or shape(path.read_text(encoding="utf-8")) != shape(text):
            path.write_text(text, encoding="utf-8")


def _head(title: str) -> str:
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n{_CSS_AND_SCRIPT}\n</head>\n<body>"
    )


def _navigation(method: str, methods: Sequence[str]) -> str:
    links = [
        f'<a href="{each}.html"{" aria-current=page" if each == method else ""}>{each}</a>'
        for each in methods
    ]
    return f'<nav><a href="index.html">all</a> {" ".join(links)}</nav>'


def _connection(number: int, connection: Connection) -> Iterator[str]:
    opened = connection.opened
    yield '<section class="connection">'
    yield f"<h2>Connection {number}: {escape(connection.client_id)}</h2>"
    yield (
        f"<p>{escape(str(opened['tls']))}. The device dials "
        f"<code>{escape(str(opened['server_name']))}</code> (SNI) and shows certificate "
        f'<span class="v">{escape(str(opened["certificate_id"])[:12])}</span>; AWS IoT shows '
        "its own. Both prove their keys before the first byte below.</p>"
    )
    for each in connection.happened:
        yield from _registry(each) if "kind" in each else _event(each)
    yield "</section>"


def _event(event: Event, *, is_bad: bool = False) -> Iterator[str]:
    if "packet" not in event:
        if event.get("event") == "refused":
            reason = f'<span class="v">{escape(str(event["reason"]))}</span>'
            yield f'<article class="packet cloud bad"><h3>← refused</h3><p>{reason}</p></article>'
        return
    topics = event.get("topics") or []
    about = f" <code>{escape(topics[0])}</code>" if len(topics) == 1 else ""
    arrow = "→" if event["by"] == "device" else "←"
    tone = f"{event['by']}{' bad' if is_bad else ''}"
    yield f'<article class="packet {tone}">\n<h3>{arrow} {event["packet"]}{about}</h3>'
    reason = f"<b>{escape(str(event['reason']))}</b>" if event.get("reason") else ""
    yield f"<p>{reason or escape(why(event))}</p>"
    parts = dissected(bytes.fromhex(event["hex"]))
    yield '<div class="bytes">'
    yield "".join(_bytes(place, part) for place, part in enumerate(parts))
    yield '</div>\n<dl class="parts">'
    yield from (_meaning(place, part) for place, part in enumerate(parts))
    yield "</dl>\n</article>"


def _bytes(place: int, part: Part) -> str:
    shown = escape(part.data.decode(errors="replace")) if part.is_text else part.data.hex(" ")
    kind = "text" if part.is_text else "hex"
    return (
        f'<span class="part {kind}" tabindex="0" data-part="{place}" title="{escape(part.title)}">'
        f'<code class="v">{shown}</code></span>'
    )


def _meaning(place: int, part: Part) -> str:
    words = escape(part.meaning)
    if part.title in _CHANGING_PARTS:
        words = f'<span class="v">{words}</span>'
    return f'<div data-part="{place}"><dt>{escape(part.title)}</dt><dd>{words}</dd></div>'


def _registry(row: Row) -> Iterator[str]:
    words = "gone" if row["is_gone"] else ", ".join(map(str, row["words"])) or "there"
    yield (
        f'<aside class="registry">registry: {escape(str(row["kind"]))} '
        f"<b>{escape(str(row['name']))}</b> {escape(words)}</aside>"
    )


def _broken(number: int, broken: Broken) -> Iterator[str]:
    happened = connections(broken.told)
    event, _, reason = failure(happened)
    code = next(iter(_CODE.findall("\n".join(broken.lines))), "")
    yield f'<section class="failure" id="failure-{number}">\n<h3>{escape(broken.words)}</h3>'
    yield f"<pre>{escape(chr(10).join(broken.lines))}</pre>"
    yield f"<figure>{diagram(happened, broken.words, event)}</figure>"
    yield (
        f"<p><b>{code}</b> (<code>device explain {code}</code>). The broker knows why: "
        f'<span class="v">{escape(reason)}</span></p>'
    )
    if event is not None and "packet" in event:
        yield from _event(event, is_bad=True)
    yield "</section>"
