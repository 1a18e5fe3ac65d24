"""Does a secret stay out of the log, whoever puts it into a message?"""

import itertools
import json
import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.runtime import log
from device.runtime.log import REDACTED, redact
from tests.support.certificates import new_key, pem_of
from tests.support.clock import FakeClock
from tests.support.hang import SECONDS

PEM = pem_of(new_key()).decode()
INSIDE = PEM.splitlines()[1]
TOKEN = "eyJ2ZXJzaW9uIjoiMjAxOTEwMjMi.a/b+c=="
REPLY = {"certificateOwnershipToken": TOKEN, "privateKey": PEM, "certificateId": "an-id"}


class Response:
    """Prints itself as the SDK's responses do."""

    def __repr__(self) -> str:
        return (
            f"CreateKeysAndCertificateResponse(certificate_id='an-id', "
            f"certificate_ownership_token={TOKEN!r}, private_key={PEM!r})"
        )


@pytest.mark.parametrize(
    "text",
    [
        PEM,
        PEM.replace("PRIVATE", "RSA PRIVATE").replace("\n", "\r\n"),
        f"before {PEM!r} after",
        f"bytes {PEM.encode()!r}",
        PEM[: len(PEM) // 2],
        str(REPLY),
        json.dumps(REPLY),
        json.dumps(REPLY, separators=(",", ":")),
        json.dumps(REPLY, indent=2),
        json.dumps(json.dumps(REPLY)),
        repr(json.dumps(REPLY).encode()),
        repr(Response()),
        str({"PrivateKey": "not-even-PEM-" + INSIDE}),
        f"pkcs11:token=firstboot;object=key?pin-value={TOKEN}&module-name=x",
        f"pkcs11:token=firstboot?pin-value={TOKEN}",
    ],
    ids=itertools.count(1),  # the texts hold a new key in each process of a parallel run
)
def test_a_secret_is_blotted_out(text: str) -> None:
    shown = redact(text)

    assert REDACTED in shown
    assert INSIDE not in shown
    assert TOKEN not in shown


def test_what_stands_around_a_secret_stays() -> None:
    assert redact(f"key {PEM}is bad") == f"key {REDACTED}\nis bad"
    assert "an-id" in redact(json.dumps(REPLY))
    assert redact("pin-value=1234&module-name=x") == f"pin-value={REDACTED}&module-name=x"


def test_two_keys_do_not_take_what_is_between_them() -> None:
    assert redact(f"{PEM} between {PEM}").count(REDACTED) == 2
    assert " between " in redact(f"{PEM} between {PEM}")


@given(st.text(alphabet=st.characters(exclude_characters="-=:'\"")))
def test_other_text_is_left_alone(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize("depth", range(3))
@given(token=st.text(alphabet="abcXYZ0189+/=._-", min_size=8))
def test_any_token_is_blotted_out(depth: int, token: str) -> None:
    text = json.dumps({"certificateOwnershipToken": token, "other": 1})
    for _ in range(depth):
        text = json.dumps(text)

    assert token not in redact(text).replace("certificateOwnershipToken", "")


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """The device's logger; the logging of the test run is put back afterwards."""
    root, device = logging.getLogger(), logging.getLogger("device")
    before = root.handlers[:], root.level, device.level, sys.unraisablehook
    yield device
    root.handlers[:], root.level, device.level, sys.unraisablehook = before


def test_the_device_logs_at_the_level_asked_for_and_others_from_warning(
    logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    log.set_up("debug", clock=FakeClock(0.0))

    logger.getChild("runtime").debug("ours")
    logging.getLogger("someone").info("theirs, in detail")
    logging.getLogger("someone").warning("theirs, important")

    ours, theirs = "DEBUG   device.runtime: ours", "WARNING someone: theirs, important"
    shown = [line.split(maxsplit=2)[2] for line in capsys.readouterr().err.splitlines()]
    assert shown == [ours, theirs]


def test_setting_up_twice_logs_once(
    logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    log.set_up("info")
    log.set_up("info")

    logger.info("once")

    assert capsys.readouterr().err.count("once") == 1


def test_arguments_and_tracebacks_are_redacted_too(
    logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    log.set_up("debug")

    logger.debug("got %r", Response())
    try:
        int(INSIDE[:1] + PEM)
    except ValueError:
        logger.exception("it failed")

    shown = capsys.readouterr().err
    assert shown.count(REDACTED) == 3
    assert "Traceback" in shown
    assert INSIDE not in shown
    assert TOKEN not in shown


class Failing:
    """What fails where nobody can catch it, as a callback of awscrt does."""

    def __del__(self) -> None:
        raise TypeError(f"no reason codes\n{TOKEN}\x1b[2J")


def test_what_nobody_can_catch_is_one_line(
    logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    log.set_up("warning")

    Failing()

    [line] = capsys.readouterr().err.splitlines()
    assert " WARNING device.runtime.log: a callback failed" in line
    assert "TypeError: no reason codes" in line
    assert "\x1b" not in line


def test_a_program_without_logging_reads_no_words_of_the_device() -> None:
    """Python would put a warning on standard error where nobody has a handler."""
    code = "from device.errors.log import logger; logger('device.storage').warning('a word')"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=SECONDS
    )
    assert done.stderr == ""
