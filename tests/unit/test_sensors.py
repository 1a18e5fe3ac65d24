"""Does a reading say what the machine measures, and nothing where it has no sensor?"""

import os
from pathlib import Path

import msgspec
import pytest

from device.runtime.sensors import Sensors
from tests.support.clock import FakeClock


def test_readings_are_counted_and_timed(tmp_path: Path) -> None:
    clock = FakeClock(1_790_000_000.0)
    sensors = Sensors(clock, tmp_path / "none")
    clock.advance(1.2345678)

    first, second = sensors.read(), sensors.read()

    assert (first.sequence, second.sequence) == (1, 2)
    assert (first.uptime, first.time) == (1.235, 1_790_000_001.235)


def test_uptime_is_not_moved_by_the_wall_clock(tmp_path: Path) -> None:
    clock = FakeClock(0.0)
    sensors = Sensors(clock, tmp_path / "none")
    clock.advance(5.0)
    clock.set_wall(1_790_000_000.0)

    reading = sensors.read()

    assert (reading.uptime, reading.time) == (5.0, 1_790_000_000.0)


def test_a_temperature(tmp_path: Path) -> None:
    (tmp_path / "temp").write_text("48312\n")

    assert Sensors(FakeClock(), tmp_path / "temp").read().temperature == 48.312


@pytest.mark.parametrize("content", [None, "", "hot"])
def test_no_temperature(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "temp").write_text(content)

    encoded = msgspec.json.encode(Sensors(FakeClock(), tmp_path / "temp").read())

    assert b"temperature" not in encoded


def test_no_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unobtainable() -> tuple[float, float, float]:
        raise OSError

    monkeypatch.setattr(os, "getloadavg", unobtainable)

    assert Sensors(FakeClock(), tmp_path / "none").read().load is None


def test_a_load() -> None:
    load = Sensors(FakeClock()).read().load

    assert load is not None
    assert load >= 0.0
