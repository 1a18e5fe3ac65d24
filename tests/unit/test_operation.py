"""Does a device at work publish on time, notice an outage, and come back without a hurry?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from device.errors import FirstbootError
from device.errors.provisioning import (
    ConnectionLostError,
    NoReplyError,
    NotLetInError,
    NotReachableError,
    TopicDeniedError,
)
from device.provisioning import actions as act
from device.provisioning import events as ev
from device.provisioning.events import Credential
from device.runtime.backoff import Backoff
from device.runtime.operation import Operation
from device.runtime.session import StopRequested
from device.runtime.telemetry import Reading, Sensors
from device.settings import Connection, Retry, Settings, Telemetry
from tests.support.clock import FakeClock

THING = "SN-1"
TOPIC = "dt/SN-1/telemetry"
CONNECT = act.Connect(Credential.DEVICE, THING)
CONNECTED = ev.Connected(Credential.DEVICE)
ACKNOWLEDGED = ev.PublishAcknowledged()
LOST = ev.ConnectionLost("gone")
SILENCE = None
SETTINGS = Settings(
    method="claim",
    connection=Connection(reply_timeout=15.0, connect_timeout=20.0, retry=Retry(stable_after=30.0)),
    telemetry=Telemetry(interval=60.0),
)


@dataclass
class ScriptedSession:
    """Answers from a script; then somebody asks to stop. Silence takes as long as is waited."""

    clock: FakeClock
    script: list[ev.Event | None]
    orders: list[tuple[float, act.Action | str]] = field(default_factory=list)

    def perform(self, action: act.Action) -> None:
        self.orders.append((self.clock.monotonic(), action))

    def next_event(self, timeout: float | None) -> ev.Event | None:
        assert timeout is not None
        if not self.script:
            return StopRequested()
        event = self.script.pop(0)
        if event is SILENCE:
            self.clock.advance(timeout)
        return event

    def close(self) -> None:
        self.orders.append((self.clock.monotonic(), "close"))

    def request_stop(self) -> None:
        self.script.clear()


@dataclass
class Diary:
    """A witness that remembers."""

    connections: int = 0
    readings: list[Reading] = field(default_factory=list)
    waits: list[tuple[FirstbootError, float]] = field(default_factory=list)

    def connected(self) -> None:
        self.connections += 1

    def published(self, reading: Reading) -> None:
        self.readings.append(reading)

    def waiting(self, cause: FirstbootError, seconds: float) -> None:
        self.waits.append((cause, seconds))


class Highest:
    """Dice that always show the most."""

    def uniform(self, a: float, b: float) -> float:
        return b


Story = tuple[ScriptedSession, Diary]
Operate = Callable[..., Story]


@pytest.fixture
def operate(tmp_path: Path) -> Operate:
    def run(script: Sequence[ev.Event | None], *, already_connected: bool = True) -> Story:
        clock, diary = FakeClock(), Diary()
        session = ScriptedSession(clock, list(script))
        Operation(
            THING,
            SETTINGS,
            topic=TOPIC,
            session=session,
            clock=clock,
            backoff=Backoff(1.0, 120.0, Highest()),
            sensors=Sensors(clock, tmp_path / "none"),
            witness=diary,
        ).run(already_connected=already_connected)
        return session, diary

    return run


def published_at(session: ScriptedSession) -> list[float]:
    return [moment for moment, order in session.orders if isinstance(order, act.Publish)]


def connected_at(session: ScriptedSession) -> list[float]:
    return [moment for moment, order in session.orders if order == CONNECT]


def test_the_first_reading_goes_at_once_and_the_next_after_the_interval(operate: Operate) -> None:
    session, diary = operate([SILENCE, ACKNOWLEDGED, SILENCE, ACKNOWLEDGED, SILENCE, ACKNOWLEDGED])

    assert published_at(session) == [0.0, 60.0, 120.0]
    assert [reading.sequence for reading in diary.readings] == [1, 2, 3]
    assert diary.waits == []


def test_a_reading_says_what_was_measured(operate: Operate) -> None:
    session, diary = operate([SILENCE, ACKNOWLEDGED])

    [order] = [order for _, order in session.orders if isinstance(order, act.Publish)]
    assert order.topic == TOPIC
    assert msgspec.json.decode(order.payload, type=Reading) == diary.readings[0]


def test_a_device_that_was_provisioned_before_connects_first(operate: Operate) -> None:
    session, diary = operate([CONNECTED, SILENCE, ACKNOWLEDGED], already_connected=False)

    assert session.orders[0] == (0.0, CONNECT)
    assert diary.connections == 1
    assert len(diary.readings) == 1


def test_a_stop_closes_the_connection(operate: Operate) -> None:
    session, diary = operate([SILENCE, ACKNOWLEDGED])

    assert session.orders[-1][1] == "close"
    assert diary.waits == []


@pytest.mark.parametrize("script", [[], [CONNECTED], [ev.ConnectFailed("down")]])
def test_a_stop_is_heard_at_any_time(operate: Operate, script: list[ev.Event]) -> None:
    session, _ = operate(script, already_connected=False)

    assert session.orders[-1][1] == "close"


@pytest.mark.parametrize(
    ("event", "cause"),
    [
        (LOST, ConnectionLostError),
        (ev.PublishDenied(TOPIC), TopicDeniedError),
    ],
)
def test_a_lost_connection_is_made_again(
    operate: Operate, event: ev.Event, cause: type[FirstbootError]
) -> None:
    session, diary = operate([SILENCE, event, SILENCE, CONNECTED, SILENCE, ACKNOWLEDGED])

    assert [type(error) for error, _ in diary.waits] == [cause]
    assert [order for _, order in session.orders[1:3]] == ["close", CONNECT]
    assert connected_at(session) == [diary.waits[0][1]]
    assert [reading.sequence for reading in diary.readings] == [2]


def test_an_unacknowledged_reading_ends_the_connection(operate: Operate) -> None:
    session, diary = operate([SILENCE, SILENCE])

    assert isinstance(diary.waits[0][0], NoReplyError)
    assert session.orders[1] == (15.0, "close")


@pytest.mark.parametrize(
    ("event", "cause"),
    [
        (ev.NotLetIn("CONNACK 0x87"), NotLetInError),
        (ev.ConnectFailed("down"), NotReachableError),
        (SILENCE, NoReplyError),
    ],
)
def test_connecting_is_tried_again_after_any_failure(
    operate: Operate, event: ev.Event | None, cause: type[FirstbootError]
) -> None:
    script = [event, SILENCE, event, SILENCE, CONNECTED, SILENCE, ACKNOWLEDGED]

    session, diary = operate(script, already_connected=False)

    assert [type(error) for error, _ in diary.waits] == [cause] * 2
    assert len(connected_at(session)) == 3
    assert len(diary.readings) == 1


def test_a_lost_identity_is_explained(operate: Operate) -> None:
    _, diary = operate([ev.NotLetIn("CONNACK 0x87")], already_connected=False)

    assert "set INACTIVE or REVOKED" in diary.waits[0][0].next_step


def test_an_unstable_connection_does_not_end_the_back_off(operate: Operate) -> None:
    """It dies after each CONNACK; whoever resets on CONNACK comes back at full speed."""
    _, diary = operate([LOST, SILENCE, CONNECTED] * 5 + [LOST])

    assert [seconds for _, seconds in diary.waits] == [2.0, 3.0, 5.0, 9.0, 17.0, 33.0]


def test_a_stable_connection_ends_the_back_off(operate: Operate) -> None:
    stable = [SILENCE, ACKNOWLEDGED, SILENCE, ACKNOWLEDGED]
    script = [LOST, SILENCE, CONNECTED, LOST, SILENCE, CONNECTED, *stable, LOST]

    _, diary = operate(script)

    assert [seconds for _, seconds in diary.waits] == [2.0, 3.0, 2.0]


def test_a_message_that_nobody_asked_for_changes_nothing(operate: Operate) -> None:
    stranger = ev.MessageReceived("cmd/SN-1", b"reboot")

    session, diary = operate([stranger, SILENCE, stranger, ACKNOWLEDGED])

    assert published_at(session) == [0.0]
    assert len(diary.readings) == 1
    assert diary.waits == []
