"""Does a device at work publish on time, notice an outage, and come back without a hurry?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from device.errors import FirstbootError
from device.errors.provisioning import (
    ConnectionLostError,
    IdentityRefusedError,
    NoReplyError,
    NotAcknowledgedError,
    NotLetInError,
    NotReachableError,
    StoppedError,
    TopicDeniedError,
)
from device.operation.operation import Operation
from device.operation.task import Task
from device.operation.telemetry import MOST_READINGS, Reading, Telemetry
from device.provisioning import actions as act
from device.provisioning import events as ev
from device.provisioning.events import Credential
from device.runtime.backoff import Backoff
from device.runtime.loop import Loop, Patience
from device.runtime.notify import ServiceManager
from device.runtime.sensors import Sensors
from device.runtime.session import StopRequested
from tests.support.clock import FakeClock
from tests.support.worlds import Diary

THING = "SN-1"
TOPIC = "dt/SN-1/telemetry"
CONNECT = act.Connect(Credential.DEVICE, THING)
CONNECTED = ev.Connected(Credential.DEVICE)
ACKNOWLEDGED = ev.PublishAcknowledged()
LOST = ev.ConnectionLost("gone")
SILENCE = None


@dataclass
class ScriptedSession:
    """Answers from a script; then somebody asks to stop. Silence takes as long as is waited."""

    clock: FakeClock
    script: list[ev.Event | None]
    orders: list[tuple[float, act.Action | str]] = field(default_factory=list)
    seconds_per_event: float = 0.0

    def perform(self, action: act.Action) -> None:
        self.orders.append((self.clock.monotonic(), action))

    def next_event(self, timeout: float | None) -> ev.Event | None:
        assert timeout is not None
        if not self.script:
            return StopRequested()
        event = self.script.pop(0)
        if event is SILENCE:
            self.clock.advance(timeout)
        else:
            self.clock.advance(self.seconds_per_event)
        return event

    def close(self) -> None:
        self.orders.append((self.clock.monotonic(), "close"))

    def request_stop(self) -> None:
        self.script.clear()


class Highest:
    """Dice that always show the most."""

    def uniform(self, a: float, b: float) -> float:
        return b


Story = tuple[ScriptedSession, Diary]
Operate = Callable[..., Story]


@pytest.fixture
def operate(tmp_path: Path) -> Operate:
    def run(
        script: Sequence[ev.Event | None],
        *,
        already_connected: bool = True,
        seconds_per_event: float = 0.0,
        tasks: Sequence[Task] = (),
    ) -> Story:
        clock, diary = FakeClock(), Diary()
        session = ScriptedSession(clock, list(script), seconds_per_event=seconds_per_event)
        telemetry = Telemetry(TOPIC, 60.0, Sensors(clock, tmp_path / "none").read)
        operation = Operation(
            THING,
            [telemetry, *tasks],
            connect_timeout=20.0,
            reply_timeout=15.0,
            is_connected=already_connected,
        )
        loop = Loop(
            session,
            clock=clock,
            backoff=Backoff(1.0, 120.0, Highest()),
            stable_after=30.0,
            observer=diary,
            service=ServiceManager({}),
        )
        with pytest.raises(StoppedError):
            loop.run(operation, Patience())
        return session, diary

    return run


def published(session: ScriptedSession) -> list[Reading]:
    return [
        msgspec.json.decode(order.payload, type=Reading)
        for _, order in session.orders
        if isinstance(order, act.Publish)
    ]


def arrived(diary: Diary) -> list[int]:
    """Return the numbers of the readings that AWS IoT acknowledged."""
    said = [detail for name, detail in diary.steps if name == "telemetry acknowledged"]
    return [int(detail.removeprefix("message ")) for detail in said]


def losses(diary: Diary) -> list[str]:
    return [detail for name, detail in diary.steps if name == "telemetry dropped"]


def connections(diary: Diary) -> int:
    return diary.steps.count(("operating", ""))


def published_at(session: ScriptedSession) -> list[float]:
    return [moment for moment, order in session.orders if isinstance(order, act.Publish)]


def connected_at(session: ScriptedSession) -> list[float]:
    return [moment for moment, order in session.orders if order == CONNECT]


def test_the_first_reading_goes_at_once_and_the_next_after_the_interval(operate: Operate) -> None:
    session, diary = operate([ACKNOWLEDGED, SILENCE, ACKNOWLEDGED, SILENCE, ACKNOWLEDGED])

    assert published_at(session) == [0.0, 60.0, 120.0]
    assert arrived(diary) == [1, 2, 3]
    assert diary.waits == []
    assert losses(diary) == []


def test_a_reading_says_what_was_measured(operate: Operate) -> None:
    session, _ = operate([ACKNOWLEDGED])

    [order] = [order for _, order in session.orders if isinstance(order, act.Publish)]
    assert order.topic == TOPIC
    assert published(session)[0].time == FakeClock().wall()


def test_a_device_that_was_provisioned_before_connects_first(operate: Operate) -> None:
    session, diary = operate([CONNECTED, ACKNOWLEDGED], already_connected=False)

    assert session.orders[0] == (0.0, CONNECT)
    assert connections(diary) == 1
    assert len(arrived(diary)) == 1


def test_a_stop_closes_the_connection(operate: Operate) -> None:
    session, diary = operate([ACKNOWLEDGED])

    assert session.orders[-1][1] == "close"
    assert diary.waits == []


@pytest.mark.parametrize("script", [[], [CONNECTED], [ev.ConnectFailed("down")]])
def test_a_stop_is_heard_at_any_time(operate: Operate, script: list[ev.Event]) -> None:
    session, _ = operate(script, already_connected=False)

    assert session.orders[-1][1] == "close"


def test_what_a_stop_leaves_undelivered_is_said(operate: Operate) -> None:
    _, diary = operate([])

    assert losses(diary) == ["message 1: stopped before AWS IoT acknowledged them"]


BUSY = ev.NotAcknowledged("PUBACK 0x97 quota exceeded", "wait", may_succeed_later=True)


@pytest.mark.parametrize(
    ("event", "cause"),
    [
        (LOST, ConnectionLostError),
        (ev.PublishDenied(TOPIC), TopicDeniedError),
        (BUSY, NotAcknowledgedError),
    ],
)
def test_a_lost_connection_is_made_again_and_the_reading_goes_again(
    operate: Operate, event: ev.Event, cause: type[FirstbootError]
) -> None:
    session, diary = operate([event, SILENCE, CONNECTED, ACKNOWLEDGED])

    assert [type(error) for error, _ in diary.waits] == [cause]
    assert [order for _, order in session.orders[1:3]] == ["close", CONNECT]
    assert connected_at(session) == [diary.waits[0][1]]
    assert arrived(diary) == [1]
    assert losses(diary) == []


def test_an_unacknowledged_reading_ends_the_connection_and_goes_again(operate: Operate) -> None:
    session, diary = operate([SILENCE, SILENCE, CONNECTED, ACKNOWLEDGED])

    assert isinstance(diary.waits[0][0], NoReplyError)
    assert session.orders[1] == (15.0, "close")
    first, again = [order for _, order in session.orders if isinstance(order, act.Publish)]
    assert first == again
    assert arrived(diary) == [1]


def test_readings_of_an_outage_arrive_in_order(operate: Operate) -> None:
    outage = [ev.ConnectFailed("down"), *[SILENCE] * 2] * 8
    session, diary = operate([LOST, SILENCE, *outage, CONNECTED, *[ACKNOWLEDGED] * 5])

    assert arrived(diary) == [1, 2, 3, 4, 5]
    assert [round(reading.uptime) for reading in published(session)[-5:]] == [0, 60, 120, 180, 240]


def test_a_full_outbox_says_what_it_dropped(operate: Operate) -> None:
    script: list[ev.Event | None] = [LOST, SILENCE]
    for _ in range(MOST_READINGS):
        script += [ev.ConnectFailed("down"), SILENCE, SILENCE, SILENCE]
    _, diary = operate([*script, CONNECTED])

    lost, kept = losses(diary)
    count = int(lost.split()[0])
    assert lost == f"{count} messages, from 1 to {count}: there was no room for more"
    assert kept.startswith(
        f"{MOST_READINGS} messages, from {count + 1} to {count + MOST_READINGS}: stopped before"
    )


@pytest.mark.parametrize(
    ("event", "cause"),
    [
        (ev.NotLetIn("CONNACK 0x87"), NotLetInError),
        (ev.ConnectFailed("down"), NotReachableError),
        (LOST, ConnectionLostError),
    ],
)
def test_connecting_is_tried_again_after_any_failure(
    operate: Operate, event: ev.Event, cause: type[FirstbootError]
) -> None:
    script = [event, SILENCE, event, SILENCE, CONNECTED, ACKNOWLEDGED]

    session, diary = operate(script, already_connected=False)

    assert [type(error) for error, _ in diary.waits] == [cause] * 2
    assert len(connected_at(session)) == 3
    assert len(arrived(diary)) == 1


def test_connecting_that_takes_long_is_told_and_ends(operate: Operate) -> None:
    session, diary = operate([SILENCE, SILENCE, SILENCE, CONNECTED], already_connected=False)

    assert diary.slow_steps == [("connecting", 19.0)]
    assert isinstance(diary.waits[0][0], NoReplyError)
    assert session.orders[1] == (20.0, "close")
    assert connections(diary) == 1


def test_a_lost_identity_is_explained(operate: Operate) -> None:
    _, diary = operate([ev.NotLetIn("CONNACK 0x87")], already_connected=False)

    assert "set INACTIVE or REVOKED" in diary.waits[0][0].next_step


def test_an_identity_that_is_refused_again_and_again_is_said_to_be(operate: Operate) -> None:
    refused = [ev.NotLetIn("CONNACK 0x87 not authorized"), SILENCE]

    _, diary = operate(refused * 3, already_connected=False)

    last = diary.waits[-1][0]
    assert isinstance(last, IdentityRefusedError)
    assert "refused this device's identity 3 times in a row, over 5 s" in str(last)
    assert "CONNACK 0x87 not authorized" in str(last)
    assert f"--thing-name {THING}" in last.next_step
    assert last.next_step == diary.waits[0][0].next_step, "so that it is advised once"


def test_one_connection_ends_the_count_of_refusals(operate: Operate) -> None:
    refused = [ev.NotLetIn("CONNACK 0x87"), SILENCE]

    script = [*refused * 2, CONNECTED, LOST, SILENCE, *refused * 2]
    _, diary = operate(script, already_connected=False)

    assert not any(isinstance(error, IdentityRefusedError) for error, _ in diary.waits)


def test_an_unstable_connection_does_not_end_the_back_off(operate: Operate) -> None:
    """It dies after each CONNACK; whoever resets on CONNACK comes back at full speed."""
    _, diary = operate([LOST, SILENCE, CONNECTED] * 5 + [LOST])

    assert [seconds for _, seconds in diary.waits] == [2.0, 3.0, 5.0, 9.0, 17.0, 33.0]


STABLE = [ACKNOWLEDGED, SILENCE, ACKNOWLEDGED]


def test_a_stable_connection_ends_the_back_off(operate: Operate) -> None:
    script = [LOST, SILENCE, CONNECTED, LOST, SILENCE, CONNECTED, *STABLE, LOST]

    _, diary = operate(script)

    assert [seconds for _, seconds in diary.waits] == [2.0, 3.0, 2.0]


def test_two_clients_of_one_name_meet_ever_less_often(operate: Operate) -> None:
    """Each of them is thrown out of a connection that was stable."""
    taken = ev.ConnectionLost("DISCONNECT 0x8E", "find the other client", taken_over=True)
    quarrel = [*STABLE, taken, SILENCE, CONNECTED]

    _, diary = operate(quarrel * 5)

    assert [seconds for _, seconds in diary.waits] == [2.0, 3.0, 5.0, 9.0, 17.0]
    assert {error.next_step for error, _ in diary.waits} == {"find the other client"}


def test_an_hour_of_calm_ends_a_quarrel(operate: Operate) -> None:
    taken = ev.ConnectionLost("DISCONNECT 0x8E", "find the other client", taken_over=True)
    hour = [ACKNOWLEDGED, SILENCE] * 61

    _, diary = operate([*[taken, SILENCE, CONNECTED] * 3, *hour, ACKNOWLEDGED, taken])

    assert [seconds for _, seconds in diary.waits] == [2.0, 3.0, 5.0, 2.0]


def test_a_message_that_nobody_asked_for_changes_nothing(operate: Operate) -> None:
    stranger = ev.MessageReceived("cmd/SN-1", b"reboot")

    session, diary = operate([stranger, stranger, ACKNOWLEDGED])

    assert published_at(session) == [0.0]
    assert len(arrived(diary)) == 1
    assert diary.waits == []


@pytest.mark.parametrize("event", [ACKNOWLEDGED, ev.Subscribed(), ev.Disconnected(), CONNECTED])
def test_news_that_nobody_waits_for_change_nothing(operate: Operate, event: ev.Event) -> None:
    session, diary = operate([ACKNOWLEDGED, event, SILENCE, ACKNOWLEDGED])

    assert published_at(session) == [0.0, 60.0]
    assert diary.waits == []


def test_a_flood_does_not_put_off_the_time_for_an_answer(
    operate: Operate, caplog: pytest.LogCaptureFixture
) -> None:
    """A message every millisecond; the PUBACK is due after 15 s, and the log stays short."""
    flood = [ev.MessageReceived("x" * 1000, b"") for _ in range(16_000)]

    session, diary = operate(flood, seconds_per_event=0.001)

    assert isinstance(diary.waits[0][0], NoReplyError)
    moment, order = session.orders[1]
    assert order == "close"
    assert moment == pytest.approx(15.0, abs=0.01)
    assert len(caplog.text) < 1_000
    assert "ignored 15999 more messages" in caplog.text
