"""The method pages have one shape; what they quote is what the programs say."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.demonstration.methods import METHODS
from scripts.recording import conversation
from scripts.recording.page import (
    BREAK,
    CLEAN_UP,
    PAGES,
    RUN,
    RecordingError,
    commands,
    with_recording,
    without_sizes,
)

ROOT = Path(__file__).parents[2]
CHAPTERS = [
    RUN,
    "What the factory needs",
    "What goes over the wire",
    "What the registry holds",
    "What goes wrong most often",
    BREAK,
    "On a real account",
    CLEAN_UP,
]
QUOTED = re.compile(r"^\| (?:device|station) \| `([^`]+)`", re.MULTILINE)
"""What device or station said, in a row about what goes wrong."""
SAYS_LITTLE = 12
"""Characters: with fewer, a message is not recognised."""


@pytest.mark.parametrize("method", METHODS)
def test_all_pages_have_the_same_chapters(method: str) -> None:
    page = PAGES[method].read_text(encoding="utf-8")
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == CHAPTERS
    assert "**Choose it**" in page.partition("## ")[0]


@pytest.mark.parametrize("method", METHODS)
def test_a_page_prepares_its_own_method(method: str) -> None:
    lines = commands(PAGES[method].read_text(encoding="utf-8"), RUN)
    assert f"factory prepare --method {method}" in lines


def quoted() -> list[tuple[str, str]]:
    return [
        (method, message)
        for method, page in PAGES.items()
        for message in QUOTED.findall(page.read_text(encoding="utf-8"))
    ]


@pytest.fixture(scope="module")
def said() -> list[re.Pattern[str]]:
    """Everything that our programs can say: each string of theirs, with what it is filled with."""
    sources = [path for name in ("device", "factory") for path in (ROOT / name).rglob("*.py")]
    strings = [text for path in sources for text in literals(ast.parse(path.read_text()))]
    return [re.compile(text) for text in set(strings)]


def literals(tree: ast.Module) -> Iterator[str]:
    """Yield a pattern for each string, or string with placeholders, that says enough."""
    for node in ast.walk(tree):
        match node:
            case ast.JoinedStr(values=parts):
                texts = [str(p.value) for p in parts if isinstance(p, ast.Constant)]
            case ast.Constant(value=str(text)):
                texts = re.split(r"\{\w+[^}]*\}", text)  # a row of the catalogue of errors
            case _:
                continue
        known = [text.strip() for text in texts if text.strip()]
        if sum(map(len, known)) >= SAYS_LITTLE:
            yield ".+".join(map(re.escape, known))
        yield from (re.escape(text) for text in known if len(text) >= SAYS_LITTLE)


def test_messages_are_quoted_on_every_page() -> None:
    assert {method for method, _ in quoted()} == set(METHODS)


@pytest.mark.parametrize(("method", "message"), sorted(set(quoted())))
def test_a_quoted_message_is_one_that_is_printed(
    said: list[re.Pattern[str]], method: str, message: str
) -> None:
    part = re.escape(message)  # a page may quote a part of what is said
    found = [each for each in said if each.search(message) or part in each.pattern]
    assert found, f"nobody says this: {method}"


# --- the parts of a recording -----------------------------------------------------------------

PAGE = """## Run it

```sh
factory make --serial A \\
    --account B
```

Or so:

```sh
device boot
```

<!-- wire: by scripts/docs --record -->
old
<!-- wire: end -->
## Clean up
"""


def test_commands_are_those_of_all_blocks_of_a_chapter() -> None:
    assert commands(PAGE, RUN) == ["factory make --serial A --account B", "device boot"]


def test_a_chapter_without_commands_is_refused() -> None:
    with pytest.raises(RecordingError, match="Clean up"):
        commands(PAGE, CLEAN_UP)


def test_what_was_recorded_takes_the_place_of_what_was_there() -> None:
    page = with_recording(PAGE, {"wire": "new"})
    assert "new" in page
    assert "old" not in page
    assert page.endswith("<!-- wire: end -->\n## Clean up\n")


def test_a_page_without_a_place_is_refused() -> None:
    with pytest.raises(RecordingError, match="registry"):
        with_recording(PAGE, {"registry": "new"})


def test_sizes_alone_are_blotted_out() -> None:
    assert without_sizes("| `dt/1` | 72 | 0x87 |") == "| `dt/1` | N | 0x87 |"


OPENED: dict[str, object] = {
    "event": "opened",
    "tls": "TLSv1.3",
    "server_name": "here",
    "certificate_id": "c",
}
CONNECT: dict[str, object] = {"packet": "CONNECT", "bytes": 20, "client_id": "SN"}
CONNACK: dict[str, object] = {"packet": "CONNACK", "bytes": 5, "reason_codes": [0x87]}
CLOSED: dict[str, object] = {"event": "closed", "by": "cloud"}


def connection(number: int, *events: dict[str, object]) -> list[dict[str, object]]:
    return [{"connection": number, "by": "device", **event} for event in (OPENED, *events)]


def table(*connections: list[dict[str, object]]) -> list[str]:
    events = [event for connection in connections for event in connection]
    return conversation.table(events, {"c": "SN"})[2:]


def test_a_refusal_is_shown_once_however_often_it_came() -> None:
    refused = [connection(number, CONNECT, CLOSED) for number in (1, 2, 3)]
    assert table(*refused) == [
        "| 1: TLSv1.3 to `here`, certificate of `SN` | device | CONNECT as `SN` | | 20 | |",
        "| | cloud | closes the connection | | | |",
    ]


def test_two_good_connections_are_two() -> None:
    left = {"packet": "DISCONNECT", "bytes": 4, "reason_codes": [0]}
    assert len(table(connection(1, CONNECT, left), connection(2, CONNECT, left))) == 4


def test_connections_at_the_same_time_are_told_apart() -> None:
    first, second = connection(1, CONNECT, CLOSED), connection(2, CONNACK, CLOSED)
    mixed = [event for pair in zip(first, second, strict=True) for event in pair]
    assert [row.partition(":")[0] for row in table(mixed) if ":" in row] == ["| 1", "| 2"]


def test_a_good_end_is_not_worth_a_row() -> None:
    left = {"packet": "DISCONNECT", "bytes": 4, "reason_codes": [0]}
    assert len(table(connection(1, CONNECT, left, CLOSED))) == 2


def test_a_look_at_the_port_is_no_connection() -> None:
    assert table(connection(1, CLOSED)) == []


def test_a_refusing_code_is_shown() -> None:
    assert "CONNACK 0x87" in table(connection(1, CONNACK))[0]
