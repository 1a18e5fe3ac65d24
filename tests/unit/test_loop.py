"""Does the device keep its deadlines, hear a stop and keep its log short, whatever comes in?"""

import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from device.connection.session import StopRequested
from device.errors import ConfigurationError, FirstbootError, StoppedError
from device.errors.provisioning import CLOUD_REJECTED
from device.errors.text import REDACTED, foreign
from device.operation.work import CONNECT_PACING_SECONDS
from device.provisioning import actions as act
from device.provisioning import events as ev
from device.runtime.loop import SLOW_SECONDS, Patience
from device.runtime.notify import ServiceManager
from tests.support.asking import REPLY, Asking, loop_over
from tests.support.clock import FakeClock
from tests.support.worlds import Diary, MemoryWorld, boot

SERIAL = "SN-1"
STRANGER = ev.MessageReceived("a/topic", b"")


class Flood:
    """A session with a message every millisecond."""

    def __init__(self, clock: FakeClock, events: Iterator[ev.Event]) -> None:
        self._clock = clock
        self._events = events
        self._reads_in_vain = 0
        self.is_closed = False

    def perform(self, action: act.Action) -> None:
        raise NotImplementedError

    def next_event(self, timeout: float | None) -> ev.Event | None:
        event = next(self._events, None)
        self._reads_in_vain += event is None and not timeout
        assert self._reads_in_vain < 1_000, "the loop spins: a deadline has passed unseen"
        self._clock.advance(0.001 if event is not None else timeout or 0.0)
        return event

    def close(self) -> None:
        self.is_closed = True

    def trust(self, root_ca_pem: bytes) -> None:
        raise NotImplementedError

    def request_stop(self) -> None:
        raise NotImplementedError


Slow = list[tuple[str, float]]


def listening(*events: ev.Event, seconds: float = 5.0) -> tuple[ev.Event, FakeClock, Slow]:
    clock, diary, work = FakeClock(), Diary(), Asking(timeout=seconds)
    loop_over(Flood(clock, iter(events)), clock, observer=diary).run(work, Patience())
    assert work.got is not None
    return work.got, clock, diary.slow_steps


def test_a_flood_suspends_no_deadline() -> None:
    event, clock, _ = listening(*[STRANGER] * 20_000)

    assert event == ev.TimedOut()
    assert clock.monotonic() == pytest.approx(5.0, abs=0.01)


def test_an_answer_in_a_flood_is_found() -> None:
    event, _, _ = listening(*[STRANGER] * 1_000, REPLY)

    assert event == ev.Subscribed()


def test_a_stop_in_a_flood_is_heard() -> None:
    with pytest.raises(StoppedError, match="stopped while asking"):
        listening(*[STRANGER] * 100, StopRequested())


def test_a_stop_closes_the_connection_and_says_what_remains_undone() -> None:
    clock, diary = FakeClock(), Diary()
    session = Flood(clock, iter([StopRequested()]))

    with pytest.raises(StoppedError):
        loop_over(session, clock, observer=diary).run(Asking(timeout=5.0), Patience())

    assert session.is_closed
    assert diary.steps == [("asking no more", "")]


def test_a_flood_is_counted_not_repeated(caplog: pytest.LogCaptureFixture) -> None:
    listening(*[ev.MessageReceived("x" * 60_000, b"")] * 5_121, seconds=600.0)

    assert len(caplog.messages) == 2
    assert "ignored 5120 more messages that the device does not expect" in caplog.messages
    assert len(caplog.text) < 1_000


def test_a_flood_of_minutes_is_said_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    listening(*[STRANGER] * 130_000, seconds=130.0)

    assert 3 <= len(caplog.messages) <= 4


def test_the_topic_of_a_stranger_cannot_forge_a_line(caplog: pytest.LogCaptureFixture) -> None:
    listening(ev.MessageReceived("a\nnext: run this", b""))

    assert caplog.messages == [r"ignored an unexpected message on a\nnext: run this"]


def test_what_takes_over_a_second_is_told_once() -> None:
    _, _, slow = listening(seconds=5.0)

    assert slow == [("asking", 4.0)]


def test_what_takes_less_is_not_told() -> None:
    _, _, slow = listening(*[STRANGER] * 500, REPLY)

    assert slow == []


def test_a_pause_is_as_long_as_it_is_whatever_comes_in() -> None:
    clock = FakeClock()

    loop_over(Flood(clock, iter([STRANGER] * 10)), clock).pause("waiting", 5.0)

    assert clock.monotonic() == pytest.approx(5.0)


# --- with a provisioning machine ------------------------------------------------------------


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


def test_a_connection_that_takes_long_is_told(memory: MemoryWorld, tmp_path: Path) -> None:
    memory.make_device(tmp_path / "device", SERIAL)
    memory.fault("silent-connect")
    diary = Diary()

    boot(memory, tmp_path / "device", diary=diary)

    [(what, seconds)] = diary.slow_steps
    assert what == "connecting with the claim"
    assert seconds >= memory.settings.connection.connect_timeout - SLOW_SECONDS


def test_a_wait_for_its_turn_is_told(memory: MemoryWorld, tmp_path: Path) -> None:
    """The dice choose a second or more of these days, but once in a hundred thousand."""
    spread = msgspec.structs.replace(memory.settings.connection, first_connect_spread=100_000.0)
    memory.settings = msgspec.structs.replace(memory.settings, connection=spread)
    memory.make_device(tmp_path / "device", SERIAL)
    diary = Diary()

    boot(memory, tmp_path / "device", diary=diary)

    [(what, seconds)] = diary.slow_steps
    assert "first_connect_spread" in what
    assert SLOW_SECONDS <= seconds <= 100_000.0


REFUSED = {
    "operation": "provision",
    "status_code": 403,
    "error_code": "AccessDenied",
    "error_message": "not on the allow-list",
}


def test_patience_without_end_begins_anew_after_a_failure(
    memory: MemoryWorld, tmp_path: Path
) -> None:
    memory.make_device(tmp_path / "device", SERIAL)
    memory.fault("reject", **REFUSED)
    diary = Diary()

    identity = boot(memory, tmp_path / "device", diary=diary, patience=Patience(again_after=900.0))

    assert identity.thing_name == SERIAL
    [(cause, seconds)] = diary.waits
    assert cause.row is CLOUD_REJECTED
    assert 450.0 <= seconds <= 1350.0


@pytest.mark.parametrize(
    "failure", [ConfigurationError("f", "k", "is wrong"), StoppedError("stopped")]
)
def test_what_a_wait_cannot_mend_is_not_tried_again(failure: FirstbootError) -> None:
    assert Patience(again_after=900.0).pause_after(failure) is None


# --- with systemd ---------------------------------------------------------------------------


class Manager:
    """systemd's end of the socket, which wants a sign of life within a minute."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.setblocking(False)
        self.service = ServiceManager({"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "60000000"})

    def heard(self) -> list[str]:
        messages = []
        with suppress(BlockingIOError):
            while True:
                messages.append(self.socket.recv(4096).decode())
        return messages


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(tmp_path / "notify")
    with manager.socket:
        yield manager


def test_a_long_wait_gives_signs_of_life(manager: Manager) -> None:
    clock = FakeClock()

    loop_over(Flood(clock, iter(())), clock, service=manager.service).pause("waiting", 100.0)

    assert manager.heard() == ["STATUS=waiting", *["WATCHDOG=1"] * 5]


def test_a_flood_leaves_time_for_signs_of_life(manager: Manager) -> None:
    clock, flood = FakeClock(), iter([STRANGER] * 59_000)

    work = Asking(timeout=59.0)
    loop_over(Flood(clock, flood), clock, service=manager.service).run(work, Patience())

    assert manager.heard().count("WATCHDOG=1") == 3


def test_systemd_is_told_the_step_and_the_end(manager: Manager) -> None:
    clock, work = FakeClock(), Asking(timeout=10.0)

    loop_over(Flood(clock, iter(())), clock, service=manager.service).run(work, Patience())

    assert manager.heard() == ["STATUS=asking", "WATCHDOG=1", "READY=1"]


def test_systemd_is_told_of_a_stop(manager: Manager) -> None:
    clock = FakeClock()
    session = Flood(clock, iter([StopRequested()]))

    with pytest.raises(StoppedError):
        loop_over(session, clock, service=manager.service).run(Asking(timeout=5.0), Patience())

    assert manager.heard()[-1] == "STOPPING=1"
