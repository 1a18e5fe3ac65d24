"""Who may see the page of ``localcloud watch --web``."""

import http.client
import threading
from collections.abc import Iterator
from http import HTTPStatus
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.page.feed import Feed
from localcloud.page.server import serving
from localcloud.page.visitors import Door
from tests.support.hang import SECONDS, join

DOOR = Door(4000, "token")
HOST = ("Host", "127.0.0.1:4000")


@pytest.mark.parametrize("more", [
    [], [("Sec-Fetch-Site", "none")], [("sec-fetch-site", "same-origin")],
    [("Origin", "http://127.0.0.1:4000")],
])  # fmt: skip
def test_the_address_and_what_the_page_itself_asks_are_served(more: list[tuple[str, str]]) -> None:
    assert DOOR.path("/token/items?after=1", [HOST, *more]) == "items"


@pytest.mark.parametrize("headers", [
    [], [HOST, HOST], [("Host", "rebound.example:4000")], [("Host", "127.0.0.1:4001")],
    [HOST, ("Origin", "http://evil.example")], [HOST, ("Origin", "null")],
    [HOST, ("Origin", "http://localhost:4000")], [HOST, ("Origin", "https://127.0.0.1:4000")],
    [HOST, ("Sec-Fetch-Site", "cross-site")], [HOST, ("sec-fetch-site", "same-site")],
    [HOST, ("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "cross-site")],
])  # fmt: skip
def test_what_another_page_sends_is_refused(headers: list[tuple[str, str]]) -> None:
    assert DOOR.path("/token/", headers) is HTTPStatus.FORBIDDEN


@pytest.mark.parametrize("target", [
    "/", "", "/token2/", "//token/", "/Token/", "/%74oken/", "/items", "token/", "/\u00e9/", "*",
])  # fmt: skip
def test_without_the_token_there_is_nothing(target: str) -> None:
    assert DOOR.path(target, [HOST]) is HTTPStatus.NOT_FOUND


@given(st.text(st.characters(max_codepoint=255)), st.text(st.characters(max_codepoint=255)))
def test_any_request_line_and_host_are_answered(target: str, host: str) -> None:
    assert DOOR.path(target, [("Host", host)]) in {HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    feed = Feed(lambda _after: {"run": "1", "events": [], "registry": []})
    with serving(feed) as (server, address):
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield address
        server.shutdown()
        join(thread)


def answer(address: str, path: str, method: str = "GET") -> http.client.HTTPResponse:
    place = urlsplit(address)
    connection = http.client.HTTPConnection(place.netloc, timeout=SECONDS)
    connection.request(method, place.path + path)
    response = connection.getresponse()
    response.read()
    connection.close()
    return response


@pytest.mark.parametrize("path", ["", "page.js", "page.css", "icon.svg", "steps", "items"])
def test_everything_is_served_with_the_rules_that_keep_it_in(address: str, path: str) -> None:
    response = answer(address, path)
    assert response.status == HTTPStatus.OK
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert "unsafe" not in response.headers["Content-Security-Policy"]
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert response.headers["Cache-Control"] == "no-store"
    assert not [name for name in response.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize("path", ["../feed.py", "files/page.js", "page.js/", "%2e%2e/feed.py"])
def test_no_other_file_is_served(address: str, path: str) -> None:
    assert answer(address, path).status == HTTPStatus.NOT_FOUND


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "HEAD"])
def test_nothing_can_be_changed(address: str, method: str) -> None:
    assert answer(address, "items", method).status == HTTPStatus.NOT_IMPLEMENTED


@pytest.mark.parametrize(
    "query", ["?after=x", "?after=-1", f"?after={'9' * 5000}", "?after=1&after=2&run=", "?run=%00"]
)
def test_a_query_that_makes_no_sense_is_answered(address: str, query: str) -> None:
    assert answer(address, f"items{query}").status == HTTPStatus.OK
