"""Does a device at work publish on time, notice an outage, and come back without a hurry?"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from device.connection.session import StopRequested
from device.errors import Row, StoppedError
from device.errors.provisioning import (
    CONNECTION_LOST,
    IDENTITY_REFUSED,
    NO_REPLY,
    NOT_ACKNOWLEDGED,
    NOT_LET_IN,
    NOT_REACHABLE,
    TOPIC_DENIED,
)
from device.operation.operation import MOST_WAITING, Operation
from device.operation.sending import MOST_UNDER_WAY
from device.operation.task import QuietTask, Task, matches
from device.operation.telemetry import MOST_READINGS, Reading, Telemetry
from device.provisioning import actions as act
from device.provisioning import events as ev
from device.provisioning.events import Credential
from device.runtime.backoff import Backoff
from device.runtime.loop import Loop, Patience
from device.runtime.notify import ServiceManager
from device.runtime.sensors import Sensors
from tests.support.clock import FakeClock
from tests.support.echo import Echo
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
    """Answers from a script; then someone asks to stop. Silence takes as long as is waited."""

    clock: FakeClock
    script: list[ev.Event | None]
    orders: list[tuple[float, act.Action | str]] = field(default_factory=list)
    seconds_per_event: float = 0.0
    under_way: list[int] = field(default_factory=list)
    """The tickets of what was published; the script acknowledges the oldest."""

    def perform(self, action: act.Action) -> None:
        self.orders.append((self.clock.monotonic(), action))
        if isinstance(action, act.Publish):
            self.under_way.append(action.ticket)

    def next_event(self, timeout: float | None) -> ev.Event | None:
        assert timeout is not None
        if not self.script:
            return StopRequested()
        event = self.script.pop(0)
        if event is SILENCE:
            self.clock.advance(timeout)
        else:
            self.clock.advance(self.seconds_per_event)
        if event == ACKNOWLEDGED and self.under_way:
            return ev.PublishAcknowledged(self.under_way.pop(0))
        return event

    def close(self) -> None:
        self.under_way.clear()
        self.orders.append((self.clock.monotonic(), "close"))

    def trust(self, root_ca_pem: bytes) -> None:
        raise NotImplementedError

    def request_stop(self) -> None:
        self.script.clear()


class Highest:
    """Dice that always show the most."""

    def uniform(self, a: float, b: float) -> float:
        return b


class Watcher(QuietTask):
    """Counts how often it is asked when it is due."""

    asked = 0

    def next_due(self) -> float:
        self.asked += 1
        return math.inf


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
        (LOST, CONNECTION_LOST),
        (ev.PublishDenied(TOPIC), TOPIC_DENIED),
        (BUSY, NOT_ACKNOWLEDGED),
    ],
)
def test_a_lost_connection_is_made_again_and_the_reading_goes_again(
    operate: Operate, event: ev.Event, cause: Row
) -> None:
    session, diary = operate([event, SILENCE, CONNECTED, ACKNOWLEDGED])

    assert [error.row for error, _ in diary.waits] == [cause]
    assert [order for _, order in session.orders[1:3]] == ["close", CONNECT]
    assert connected_at(session) == [diary.waits[0][1]]
    assert arrived(diary) == [1]
    assert losses(diary) == []


def test_an_unacknowledged_reading_ends_the_connection_and_goes_again(operate: Operate) -> None:
    session, diary = operate([SILENCE, SILENCE, CONNECTED, ACKNOWLEDGED])

    assert diary.waits[0][0].row is NO_REPLY
    assert session.orders[1] == (15.0, "close")
    first, again = [order for _, order in session.orders if isinstance(order, act.Publish)]
    assert first.payload == again.payload
    assert arrived(diary) == [1]


def test_a_puback_that_never_comes_is_noticed_though_others_come() -> None:
    echo = Echo(copies=2)
    operation = Operation(THING, [echo], connect_timeout=20, reply_timeout=15, is_connected=True)
    operation.receive(operation.begin(), 0.0)
    operation.receive(ev.Subscribed(), 0.0)
    operation.receive(COMMAND, 0.0)

    operation.receive(ev.PublishAcknowledged(2), 10.0)

    assert operation.overdue_at == 15.0
    [wait] = operation.receive(ev.TimedOut(), 15.0)
    assert isinstance(wait, act.WaitBeforeRetry)
    assert wait.cause.row is NO_REPLY
    assert operation.overdue_at == math.inf


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
        (ev.NotLetIn("CONNACK 0x87"), NOT_LET_IN),
        (ev.ConnectFailed("down"), NOT_REACHABLE),
        (LOST, CONNECTION_LOST),
    ],
)
def test_connecting_is_tried_again_after_any_failure(
    operate: Operate, event: ev.Event, cause: Row
) -> None:
    script = [event, SILENCE, event, SILENCE, CONNECTED, ACKNOWLEDGED]

    session, diary = operate(script, already_connected=False)

    assert [error.row for error, _ in diary.waits] == [cause] * 2
    assert len(connected_at(session)) == 3
    assert len(arrived(diary)) == 1


def test_connecting_that_takes_long_is_told_and_ends(operate: Operate) -> None:
    session, diary = operate([SILENCE, SILENCE, SILENCE, CONNECTED], already_connected=False)

    assert diary.slow_steps == [("connecting", 19.0)]
    assert diary.waits[0][0].row is NO_REPLY
    assert session.orders[1] == (20.0, "close")
    assert connections(diary) == 1


def test_a_lost_identity_is_explained(operate: Operate) -> None:
    _, diary = operate([ev.NotLetIn("CONNACK 0x87")], already_connected=False)

    assert "set INACTIVE or REVOKED" in diary.waits[0][0].next_step


def test_an_identity_that_is_refused_again_and_again_is_said_to_be(operate: Operate) -> None:
    refused = [ev.NotLetIn("CONNACK 0x87 not authorized"), SILENCE]

    _, diary = operate(refused * 3, already_connected=False)

    last = diary.waits[-1][0]
    assert last.row is IDENTITY_REFUSED
    assert "refused this device's identity 3 times in a row, over 5 s" in str(last)
    assert "CONNACK 0x87 not authorized" in str(last)
    assert f"--thing-name {THING}" in last.next_step
    assert last.next_step == diary.waits[0][0].next_step, "so that it is advised once"


def test_one_connection_ends_the_count_of_refusals(operate: Operate) -> None:
    refused = [ev.NotLetIn("CONNACK 0x87"), SILENCE]

    script = [*refused * 2, CONNECTED, LOST, SILENCE, *refused * 2]
    _, diary = operate(script, already_connected=False)

    assert not any(error.row is IDENTITY_REFUSED for error, _ in diary.waits)


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

    assert diary.waits[0][0].row is NO_REPLY
    moment, order = session.orders[1]
    assert order == "close"
    assert moment == pytest.approx(15.0, abs=0.01)
    assert len(caplog.text) < 1_000
    assert "ignored 15999 more messages" in caplog.text


# --- an application's own task --------------------------------------------------------------


COMMAND = ev.MessageReceived("cmd/SN-1/blink", b"twice")
SUBSCRIBED = ev.Subscribed()


def test_a_task_of_ones_own_needs_no_change_to_the_loop(operate: Operate) -> None:
    echo = Echo()

    script = [SUBSCRIBED, ACKNOWLEDGED, COMMAND, ACKNOWLEDGED]
    session, diary = operate(script, tasks=[echo])

    first, reading, answer = [order for _, order in session.orders[:3]]
    assert first == act.Subscribe(("cmd/SN-1/+",), 1)
    assert isinstance(reading, act.Publish)
    assert answer == act.Publish("echo/SN-1", b"twice", 2)
    assert echo.heard == ["connected", "cmd/SN-1/blink"]
    assert echo.sent == ["twice"]
    assert diary.steps[:2] == [("operating", ""), ("telemetry acknowledged", "message 1")]
    assert diary.steps[2] == ("echoed", "echo/SN-1")


def test_an_acknowledgement_is_for_the_task_that_published(operate: Operate) -> None:
    """The command comes while the reading is under way; its answer goes out behind it."""
    echo = Echo()

    session, diary = operate([SUBSCRIBED, COMMAND, ACKNOWLEDGED], tasks=[echo])

    assert [type(order).__name__ for _, order in session.orders] == [
        "Subscribe",
        "Publish",
        "Publish",
        "str",
    ]
    assert arrived(diary) == [1]
    assert echo.sent == []


def test_a_message_goes_to_the_task_that_subscribed_to_it(
    operate: Operate, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = Echo(["a/#"]), Echo(["b"])
    script = [SUBSCRIBED, *[ev.MessageReceived(topic, b"") for topic in ("b", "c", "a/b")]]

    operate(script, tasks=[one, other])

    assert (one.heard, other.heard) == (["connected", "a/b"], ["connected", "b"])
    assert caplog.messages == ["ignored an unexpected message on c"]


def test_subscriptions_are_made_again_after_an_outage(operate: Operate) -> None:
    echo = Echo()
    script = [SUBSCRIBED, ACKNOWLEDGED, LOST, SILENCE, CONNECTED, SUBSCRIBED]

    session, _ = operate(script, tasks=[echo])

    orders = [order for _, order in session.orders]
    assert orders.count(act.Subscribe(("cmd/SN-1/+",), 1)) == 2
    assert echo.heard == ["connected", "disconnected", "connected"]


KEPT = ev.Connected(Credential.DEVICE, session_present=True)


def test_where_the_server_kept_the_session_nothing_is_subscribed_again(operate: Operate) -> None:
    echo = Echo()
    script = [SUBSCRIBED, ACKNOWLEDGED, LOST, SILENCE, KEPT, COMMAND, ACKNOWLEDGED]

    session, _ = operate(script, tasks=[echo])

    orders = [order for _, order in session.orders]
    assert orders.count(act.Subscribe(("cmd/SN-1/+",), 1)) == 1
    assert echo.heard == ["connected", "disconnected", "connected", "cmd/SN-1/blink"]


@pytest.mark.parametrize("first", [[], [ev.SubscriptionDenied(("cmd/SN-1/+",))]])
def test_a_session_that_lacks_a_subscription_is_subscribed_again(
    operate: Operate, first: list[ev.Event]
) -> None:
    """Of an earlier process nobody knows which subscriptions it made."""
    session, _ = operate(
        [*([CONNECTED, *first, LOST, SILENCE] if first else []), KEPT, SUBSCRIBED],
        already_connected=False,
        tasks=[Echo()],
    )

    orders = [order for _, order in session.orders]
    assert orders.count(act.Subscribe(("cmd/SN-1/+",), 1)) == 1 + len(first)


def test_a_task_that_may_not_subscribe_has_no_part_in_the_connection(operate: Operate) -> None:
    denied, allowed = Echo(["a"]), Echo(["b"])

    operate([ev.SubscriptionDenied(("a",))], tasks=[denied, allowed])

    assert (denied.heard, allowed.heard) == ([], ["connected"])


def test_a_denied_subscription_is_told_and_telemetry_goes_on(operate: Operate) -> None:
    denied = ev.SubscriptionDenied(("cmd/SN-1/+",))

    _, diary = operate([denied, ACKNOWLEDGED], tasks=[Echo()])

    [told] = [detail for name, detail in diary.steps if name == "not subscribed"]
    assert "cmd/SN-1/+" in told
    assert "the thing's policy" in told
    assert arrived(diary) == [1]
    assert diary.waits == []


def test_a_subscription_that_nobody_answers_ends_the_connection(operate: Operate) -> None:
    session, diary = operate([SILENCE, SILENCE], tasks=[Echo()])

    assert diary.slow_steps == [("subscribing", 14.0)]
    assert str(diary.waits[0][0]) == "no answer while subscribing"
    assert session.orders[1] == (15.0, "close")


def test_a_packet_subscribes_to_eight_filters_at_most(operate: Operate) -> None:
    """AWS IoT closes a connection that sends more."""
    names = [f"cmd/{number}" for number in range(17)]

    session, _ = operate([SUBSCRIBED] * 3, tasks=[Echo(names)])

    packets = [order.topics for _, order in session.orders if isinstance(order, act.Subscribe)]
    assert [len(packet) for packet in packets] == [8, 8, 1]
    assert [name for packet in packets for name in packet] == names


def test_a_task_that_publishes_without_end_harms_no_other(operate: Operate) -> None:
    """A command asks for a thousand answers; telemetry has its turn after those that had room."""
    script = [SUBSCRIBED, COMMAND, *[ACKNOWLEDGED] * 50, *[COMMAND] * 5, LOST]
    echo = Echo(copies=1_000)

    session, diary = operate(script, tasks=[echo])

    assert arrived(diary) == [1]
    assert len(published_at(session)) == MOST_UNDER_WAY + 50
    [(_, told)] = [step for step in diary.steps if step[0] == "publications dropped"]
    assert int(told.split(":")[0]) == 6 * 1_000 - MOST_WAITING - (MOST_UNDER_WAY - 1 + 50)


@pytest.mark.parametrize(
    ("topic_filter", "topic", "is_match"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a", False),
        ("a", "a/b", False),
        ("a/+", "a/b", True),
        ("a/+", "a/b/c", False),
        ("a/+", "a/", True),
        ("+/b", "a/b", True),
        ("a/+/c", "a/b/c", True),
        ("a/#", "a/b/c", True),
        ("a/#", "a", True),
        ("a/b/#", "a", False),
        ("#", "a/b", True),
        ("#", "$aws/things", False),
        ("+/things", "$aws/things", False),
        ("$aws/+", "$aws/things", True),
        ("A", "a", False),
    ],
)
def test_a_filter_matches_as_mqtt_says(topic_filter: str, topic: str, *, is_match: bool) -> None:
    assert matches(topic_filter, topic) is is_match


def test_a_reading_costs_two_waits_and_few_looks_at_what_is_due(operate: Operate) -> None:
    """Each wait wakes a thread, which costs an idle device more than its own code does."""
    watcher = Watcher()

    session, _ = operate([ev.Subscribed(), *[ACKNOWLEDGED, SILENCE] * 50], tasks=[watcher])

    readings = [order for _, order in session.orders if isinstance(order, act.Publish)]
    assert len(readings) == 51
    assert watcher.asked <= 4 * 51
