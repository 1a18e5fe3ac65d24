"""Who may not speak to the local AWS at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.door.callers import is_own_host, refusal, web_page, without_cors

PORT = 4566
OWN = (b"host", b"127.0.0.1:4566")


@pytest.mark.parametrize("host", [
    "127.0.0.1:4566", "localhost:4566", "LOCALHOST:4566", "[::1]:4566", "localhost.:4566",
    "abc-ats.iot.eu-west-1.localhost:4566", "my-bucket.localhost:4566",
    "my.bucket.s3.us-east-1.localhost:4566",
])  # fmt: skip
def test_its_own_names(host: str) -> None:
    assert is_own_host(host, PORT)


@pytest.mark.parametrize("host", [
    "", ":4566", "127.0.0.1", "127.0.0.1:80", "localhost:4567", "localhost:04566x",
    "rebound.example:4566", "localhost.example:4566", "notlocalhost:4566", ".localhost:4566",
    "a..localhost:4566", "127.0.0.1.example:4566", "127.0.0.2:4566", "0.0.0.0:4566", "[::]:4566",
    "localhost:4566@rebound.example", "localhost:4566, rebound.example", "localhost:4566/",
    "127.1:4566", "2130706433:4566", "localhost..:4566", "[::ffff:127.0.0.1]:4566",
    "s3.amazonaws.com:4566", "localhost:99999999",
])  # fmt: skip
def test_names_of_somebody_else(host: str) -> None:
    assert not is_own_host(host, PORT)


def test_port_80_needs_no_number() -> None:
    assert is_own_host("localhost", 80)


@given(st.text())
def test_any_text_as_a_host_is_answered(host: str) -> None:
    assert is_own_host(host, PORT) in {True, False}


def test_what_a_client_of_aws_sends_is_let_in() -> None:
    headers = [OWN, (b"authorization", b"AWS4-HMAC-SHA256 ..."), (b"user-agent", b"Boto3/1")]
    assert refusal("POST", headers, PORT) is None


@pytest.mark.parametrize("header", [
    (b"origin", b"http://127.0.0.1:4566"), (b"Origin", b"null"), (b"ORIGIN", b""),
    (b"sec-fetch-site", b"cross-site"), (b"Sec-Fetch-Site", b"SAME-SITE"),
    (b"sec-fetch-site", b"same-origin"), (b"sec-fetch-site", b""), (b"sec-fetch-mode", b"no-cors"),
    (b"sec-fetch-mode", b"websocket"),
])  # fmt: skip
def test_what_a_browser_sends_for_a_page_is_refused(header: tuple[bytes, bytes]) -> None:
    assert refusal("GET", [OWN, header], PORT)


def test_an_address_that_was_typed_is_not_a_pages_request() -> None:
    typed = [OWN, (b"sec-fetch-site", b"none"), (b"sec-fetch-mode", b"navigate")]
    assert web_page(typed) is None


@pytest.mark.parametrize("hosts", [[], [OWN, OWN], [OWN, (b"Host", b"rebound.example")]])
def test_a_request_names_one_host(hosts: list[tuple[bytes, bytes]]) -> None:
    assert refusal("GET", hosts, PORT) == "Host is not a name of this local AWS"


def test_a_preflight_is_refused_from_anybody() -> None:
    assert refusal("OPTIONS", [OWN], PORT)


def test_headers_for_web_pages_are_taken_out() -> None:
    answer = [(b"Access-Control-Allow-Origin", b"*"), (b"etag", b"1"),
              (b"access-control-expose-headers", b"*")]  # fmt: skip
    assert without_cors(answer) == [(b"etag", b"1")]
