"""The Illustrated First Boot: its pages are whole, work from a file, and hold no secret."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.config.methods import METHODS
from localcloud.broker import packets
from scripts.illustrated.diagram import diagram
from scripts.illustrated.dissection import dissected
from scripts.illustrated.happenings import connections, failure
from scripts.illustrated.page import Broken, page, shape
from scripts.recording.page import BREAK, CLEAN_UP, PAGES, RUN, breakages, commands

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "docs" / "illustrated"
FILES: Final = sorted(each.name for each in FOLDER.iterdir())
NO_CREDENTIAL: Final = "FB-423"  # such a device does not connect
SERIAL: Final = re.compile(r"--serial (\S+)")


class Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.opened: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.opened.append(tag)
        self.found += [value or "" for name, value in attrs if name in {"href", "src"}]


def links_of(name: str) -> list[str]:
    parser = Links()
    parser.feed((FOLDER / name).read_text(encoding="utf-8"))
    return parser.found


def test_each_method_has_its_page_and_its_picture() -> None:
    wanted = {f"{method}.{kind}" for method in METHODS for kind in ("html", "svg")}
    assert set(FILES) == wanted | {"index.html", "illustrated.css", "illustrated.js"}


@pytest.mark.parametrize("name", [each for each in FILES if each.endswith(".html")])
def test_a_page_needs_no_server(name: str) -> None:
    """Every link is a file beside it, or a page of the web that a reader chooses to open."""
    for link in links_of(name):
        assert link.startswith("https://") or (FOLDER / link).resolve().is_file(), link
    text = (FOLDER / name).read_text(encoding="utf-8")
    assert not re.search(r'(?:src|rel="stylesheet" href)="(?:https?:)?//', text)


@pytest.mark.parametrize("name", FILES)
def test_no_secret_and_no_path_of_a_machine_is_in_it(name: str) -> None:
    text = (FOLDER / name).read_text(encoding="utf-8")
    assert "PRIVATE KEY" not in text
    for found in re.findall(r"(?:OwnershipToken|privateKey)&quot;:\s*&quot;(.*?)&quot;", text):
        assert set(found) == {"."}
    assert not re.search(r"/(?:home|root|tmp|work|Users)/", text)


@pytest.mark.parametrize("method", METHODS)
def test_a_page_shows_the_whole_boot_and_every_failure_that_reaches_the_wire(method: str) -> None:
    text = (FOLDER / f"{method}.html").read_text(encoding="utf-8")
    assert {"CONNECT", "CONNACK", "PUBACK", "DISCONNECT"} <= set(re.findall(r"<h3>. (\w+)", text))
    failing = breakages(PAGES[method].read_text(encoding="utf-8"))
    wanted = [words for words, lines in failing if NO_CREDENTIAL not in " ".join(lines)]
    shown = re.findall(r'<section class="failure".*?<b>(FB-\d+)</b>', text, re.DOTALL)
    assert len(shown) == len(wanted)


@pytest.mark.parametrize("method", METHODS)
def test_a_method_page_breaks_it_and_says_with_which_code_it_fails(method: str) -> None:
    found = breakages(PAGES[method].read_text(encoding="utf-8"))
    assert found
    for words, lines in found:
        assert any(re.search(r"# FB-\d{3}$", line) for line in lines), words


def test_no_two_method_pages_use_the_same_serial_number() -> None:
    """A reader plays them one after the other, in one checkout."""
    used: dict[str, str] = {}
    for method, path in PAGES.items():
        text = path.read_text(encoding="utf-8")
        lines = [*commands(text, RUN), *commands(text, BREAK), *commands(text, CLEAN_UP)]
        for serial in {serial for line in lines for serial in SERIAL.findall(line)}:
            assert used.setdefault(serial, method) == method, serial


# --- how they are made -------------------------------------------------------------------

CONNECT: Final = "101100044d5154540502003c000004534e2d31"
TOKEN: Final = b'{"certificateOwnershipToken": "secret", "certificateId": "ab"}'


def published(payload: bytes) -> bytes:
    return packets.publish(5, packets.Publish("t", payload, 0, False, 0, {}))


def test_the_parts_of_a_packet_are_all_of_its_bytes_but_for_the_secrets() -> None:
    parts = dissected(published(TOKEN))
    whole = b"".join(part.data for part in parts)
    assert whole == published(TOKEN).replace(b"secret", b"......")
    assert [part.title for part in parts][-2:] == [
        "payload: certificateOwnershipToken",
        "payload: certificateId",
    ]


@given(st.dictionaries(st.sampled_from(["a", "b", "privateKey"]), st.text() | st.booleans()))
def test_any_payload_is_cut_without_loss(document: dict[str, Any]) -> None:
    packet = published(json.dumps(document).encode())
    assert sum(len(part.data) for part in dissected(packet)) == len(packet)


def told(certificate: str) -> dict[str, Any]:
    opened = {"event": "opened", "by": "device", "tls": "TLSv1.3", "server_name": "localhost",
              "certificate_id": certificate}  # fmt: skip
    connect = {"packet": "CONNECT", "by": "device", "client_id": "SN-1", "hex": CONNECT}
    refused = {"event": "refused", "by": "cloud", "reason": f"{certificate} is not ACTIVE"}
    closed = {"event": "closed", "by": "cloud"}
    events = [
        {"number": place + 1, "connection": 1 + place // 4, "ms": 1.0, **event}
        for place, event in enumerate([opened, connect, refused, closed] * 2)
    ]
    return {"events": events, "registry": []}


def test_refusals_that_follow_each_other_are_one() -> None:
    assert len(connections(told("ab" * 32))) == 1


def row(number: int, name: str, *words: str) -> dict[str, Any]:
    """Return a row of the registry, as it was at event ``number``."""
    return {
        "number": number, "kind": "thing", "name": name, "words": words, "is_gone": False,
    }  # fmt: skip


def test_a_record_that_is_written_again_with_the_same_words_is_shown_once() -> None:
    rows = [row(2, "A", "new"), row(2, "A", "new"), row(2, "A", "other"), row(2, "B", "new")]
    [connection] = connections({**told("ab" * 32), "registry": rows})
    shown = [(each["name"], *each["words"]) for each in connection.happened if "kind" in each]
    assert shown == [("A", "new"), ("A", "other"), ("B", "new")]


def test_notes_of_the_same_moment_stand_below_each_other() -> None:
    rows = [row(2, "A", "new"), row(2, "B", "new")]
    drawn = diagram(connections({**told("ab" * 32), "registry": rows}), "t")
    places = re.findall(r'y="(\d+)" class="note"', drawn)
    assert len(places) == len(set(places)) == 2


def test_the_failed_step_is_red() -> None:
    happened = connections(told("ab" * 32))
    event, code, _ = failure(happened)
    assert code == "FB-403"
    assert 'class="bad"' in diagram(happened, "t", event)


def test_two_recordings_of_the_same_exchange_have_the_same_shape() -> None:
    def made(certificate: str) -> str:
        broken = Broken("It fails.", ["device boot  # FB-403"], told(certificate))
        return page("claim", "t", told(certificate), [broken], ["claim"])

    assert made("ab" * 32) != made("cd" * 32)
    assert shape(made("ab" * 32)) == shape(made("cd" * 32))
