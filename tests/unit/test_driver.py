"""Does the driver keep AWS's pace, its deadlines and its secrets?"""

from pathlib import Path

import msgspec
import pytest

from device.runtime.driver import CONNECT_PACING_SECONDS
from device.runtime.listener import SLOW_SECONDS
from device.text import REDACTED, foreign
from tests.support.worlds import Diary, MemoryWorld, boot

SERIAL = "SN-1"


@pytest.fixture
def memory() -> MemoryWorld:
    return MemoryWorld()


def test_one_client_id_connects_once_a_second_at_most(memory: MemoryWorld, tmp_path: Path) -> None:
    """AWS IoT quotas: one CONNECT a second for each client id.

    The staged certificate is tried under the thing's name and refused; it is registered in no
    time, and then the device connects under that name again.
    """
    memory.make_device(tmp_path / "device", SERIAL)
    memory.fault("cut-before-request", operation="provision")

    boot(memory, tmp_path / "device")

    moments = [moment for moment, client_id in memory.cloud.connects if client_id == SERIAL]
    assert len(moments) == 2
    assert moments[1] - moments[0] == pytest.approx(CONNECT_PACING_SECONDS)


def test_a_token_that_the_cloud_echoes_is_not_shown(memory: MemoryWorld, tmp_path: Path) -> None:
    memory.make_device(tmp_path / "device", SERIAL)

    boot(memory, tmp_path / "device")

    [token] = memory.cloud.tokens
    assert foreign(f"invalid: {token}") == f"invalid: {REDACTED}"


class Slow(Diary):
    """Remembers what took long."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[str, float]] = []

    def slow(self, what: str, seconds: float) -> None:
        self.told.append((what, seconds))


def test_a_connection_that_takes_long_is_told(memory: MemoryWorld, tmp_path: Path) -> None:
    memory.make_device(tmp_path / "device", SERIAL)
    memory.fault("silent-connect")
    diary = Slow()

    boot(memory, tmp_path / "device", diary=diary)

    [(what, seconds)] = diary.told
    assert what == "connecting with the claim"
    assert seconds >= memory.settings.connection.connect_timeout - SLOW_SECONDS


def test_a_wait_for_its_turn_is_told(memory: MemoryWorld, tmp_path: Path) -> None:
    """The dice choose a second or more of these days, but once in a hundred thousand."""
    spread = msgspec.structs.replace(memory.settings.connection, first_connect_spread=100_000.0)
    memory.settings = msgspec.structs.replace(memory.settings, connection=spread)
    memory.make_device(tmp_path / "device", SERIAL)
    diary = Slow()

    boot(memory, tmp_path / "device", diary=diary)

    [(what, seconds)] = diary.told
    assert "first_connect_spread" in what
    assert SLOW_SECONDS <= seconds <= 100_000.0
