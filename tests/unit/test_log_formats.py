"""Does a log that programs read say when, what, and nothing secret?"""

import json
import logging
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from device.runtime import log
from tests.support.certificates import new_key, pem_of
from tests.support.clock import FakeClock

PEM = pem_of(new_key()).decode()
NOW = 1_800_000_000.0
WALL = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{3}Z")


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """Return the logger of the device; put the logging back."""
    root, device, told = (logging.getLogger(name) for name in (None, "device", "device.told"))
    before = root.handlers[:], root.level, device.level, told.level
    yield device
    for handler in root.handlers:
        if handler not in before[0]:
            handler.close()
    root.handlers[:], root.level, device.level, told.level = before


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[socket.socket]:
    """Return a socket as journald has one."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "journal"))
        listener.settimeout(10)
        yield listener


def fields_in(datagram: bytes) -> dict[str, str]:
    """Read a datagram as the protocol says; journald does the same."""
    found = {}
    while datagram:
        line, _, datagram = datagram.partition(b"\n")
        name, has_value, value = line.partition(b"=")
        if not has_value:
            size = int.from_bytes(datagram[:8], "little")
            value, datagram = datagram[8 : 8 + size], datagram[8 + size + 1 :]
        found[name.decode()] = value.decode()
    return found


def objects(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_line_of_text_has_both_clocks(
    logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    log.set_up("info", clock=FakeClock(NOW))
    logger.info("hello")
    wall, monotonic, level, name, message = capsys.readouterr().err.split()
    assert WALL.fullmatch(wall)
    assert float(monotonic) >= 0
    assert (level, name, message) == ("INFO", "device:", "hello")


def test_a_record_in_json_is_one_line_with_both_clocks(
    logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = FakeClock(NOW)
    log.set_up("info", "json", clock=clock)
    logger.warning("lost %d of\n%s", 2, "many")
    (found,) = objects(capsys)
    assert WALL.fullmatch(found["time"])
    assert found["monotonic"] == clock.monotonic()
    assert (found["level"], found["logger"]) == ("warning", "device")
    assert found["message"].startswith("lost 2 of")


def test_the_event_is_the_same_whatever_the_values(
    logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    log.set_up("info", "json")
    for value in (1, 2):
        logger.info("lost %d", value)
    logger.info("found %d", 1)
    first, again, other = (each["event"] for each in objects(capsys))
    assert re.fullmatch("[0-9a-f]{32}", first)
    assert first == again != other


def test_a_step_has_the_event_of_its_name(
    logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    assert logger.name == "device"
    log.set_up("warning", "json")
    log.tell("0.1 s storage opened 1", "storage opened")
    log.tell("0.2 s storage opened 2", "storage opened")
    one, other = objects(capsys)
    assert one["event"] == other["event"]


def test_errors_alone_hide_the_steps(
    logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    assert logger.name == "device"
    log.set_up("error", "json")
    log.tell("a step", "step")
    assert objects(capsys) == []


@pytest.mark.parametrize("form", log.FORMATS)
def test_no_secret_is_in_any_format(
    form: str, logger: logging.Logger, journal: socket.socket, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    log.set_up("info", form, journal=tmp_path / "journal")
    try:
        int(PEM)
    except ValueError:
        logger.exception("key %s", PEM)
    shown = capsys.readouterr().err
    if form == "journald":
        shown = fields_in(journal.recv(65536))["MESSAGE"]
    assert PEM.splitlines()[1] not in shown
    assert "Traceback" in shown


def test_journald_gets_fields_that_it_can_read(
    logger: logging.Logger, journal: socket.socket, tmp_path: Path
) -> None:
    log.set_up("info", "journald", journal=tmp_path / "journal", clock=FakeClock(NOW))
    logger.warning("lost %d", 2)
    found = fields_in(journal.recv(65536))
    assert found["MESSAGE"] == "lost 2"
    assert found["PRIORITY"] == "4"
    assert re.fullmatch("[0-9a-f]{32}", found["MESSAGE_ID"])
    assert WALL.fullmatch(found["FIRSTBOOT_TIME"])
    assert float(found["FIRSTBOOT_MONOTONIC"]) >= 0


def test_a_traceback_is_one_field_of_several_lines(
    logger: logging.Logger, journal: socket.socket, tmp_path: Path
) -> None:
    log.set_up("info", "journald", journal=tmp_path / "journal")
    try:
        int("x")
    except ValueError:
        logger.exception("it failed")
    found = fields_in(journal.recv(65536))
    assert found["MESSAGE"].startswith("it failed\n")
    assert "ValueError" in found["MESSAGE"]
    assert found["PRIORITY"] == "3"


def test_without_a_journal_standard_error_is_used(
    logger: logging.Logger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log.set_up("info", "journald", journal=tmp_path / "none")
    logger.warning("here")
    assert "WARNING device: here" in capsys.readouterr().err


def test_a_journal_that_went_away_stops_nothing(
    logger: logging.Logger, journal: socket.socket, tmp_path: Path
) -> None:
    log.set_up("info", "journald", journal=tmp_path / "journal")
    journal.close()
    logger.warning("nobody hears this")
