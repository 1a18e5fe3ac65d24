"""Does the device keep its deadlines, hear a stop and keep its log short, whatever comes in?"""

import threading
from collections.abc import Iterator

import pytest

from device.errors.provisioning import StoppedError
from device.provisioning import actions as act
from device.provisioning import events as ev
from device.runtime.inbox import MOST_BYTES, MOST_MESSAGES, Inbox
from device.runtime.listener import Listener
from device.runtime.session import StopRequested, pause
from tests.support.clock import FakeClock

STRANGER = ev.MessageReceived("a/topic", b"")
REPLY = ev.MessageReceived("reply", b"")


class Flood:
    """A session with a message every millisecond."""

    def __init__(self, clock: FakeClock, events: Iterator[ev.Event]) -> None:
        self._clock = clock
        self._events = events

    def perform(self, action: act.Action) -> None:
        raise NotImplementedError

    def next_event(self, timeout: float | None) -> ev.Event | None:
        event = next(self._events, None)
        self._clock.advance(0.001 if event is not None else timeout or 0.0)
        return event

    def close(self) -> None:
        raise NotImplementedError

    def request_stop(self) -> None:
        raise NotImplementedError


Slow = list[tuple[str, float]]


def listening(*events: ev.Event, seconds: float = 5.0) -> tuple[ev.Event, FakeClock, Slow]:
    clock, slow = FakeClock(), Slow()
    listener = Listener(Flood(clock, iter(events)), clock, lambda *what: slow.append(what))

    def awaited(message: ev.MessageReceived) -> ev.Event | None:
        return ev.Subscribed() if message == REPLY else None

    event = listener.next_event("asking", seconds, awaited)
    listener.say_ignored()
    return event, clock, slow


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


def test_a_flood_is_counted_not_repeated(caplog: pytest.LogCaptureFixture) -> None:
    listening(*[ev.MessageReceived("x" * 60_000, b"")] * 5_121, seconds=600.0)

    assert len(caplog.messages) == 2
    assert "ignored 5120 more messages that nobody waits for" in caplog.messages
    assert len(caplog.text) < 1_000


def test_a_flood_of_minutes_is_said_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    listening(*[STRANGER] * 130_000, seconds=130.0)

    assert 3 <= len(caplog.messages) <= 4


def test_the_topic_of_a_stranger_cannot_forge_a_line(caplog: pytest.LogCaptureFixture) -> None:
    listening(ev.MessageReceived("a\nnext: run this", b""))

    assert caplog.messages == [r"ignored a message that nobody waits for, on a\nnext: run this"]


def test_what_takes_over_a_second_is_told_once() -> None:
    _, _, slow = listening(seconds=5.0)

    assert slow == [("asking", 4.0)]


def test_what_takes_less_is_not_told() -> None:
    _, _, slow = listening(*[STRANGER] * 500, REPLY)

    assert slow == []


def test_a_pause_is_as_long_as_it_is_whatever_comes_in() -> None:
    clock = FakeClock()

    pause(Flood(clock, iter([STRANGER] * 10)), clock, 5.0)

    assert clock.monotonic() == pytest.approx(5.0)


# --- the queue in front of it ---------------------------------------------------------------


def test_the_queue_is_bounded_and_counts_what_it_drops() -> None:
    inbox = Inbox()
    for _ in range(MOST_MESSAGES + 44):
        inbox.put_message(1, STRANGER)
    inbox.put(1, ev.Subscribed())

    assert inbox.take_dropped() == 44
    assert inbox.take_dropped() == 0
    taken = [inbox.get(1, 0.0) for _ in range(MOST_MESSAGES + 1)]
    assert taken[-1] == ev.Subscribed(), "what became of a request is never dropped"
    assert inbox.get(1, 0.0) is None


def test_the_bytes_that_wait_are_bounded() -> None:
    inbox = Inbox()
    for _ in range(100):
        inbox.put_message(1, ev.MessageReceived("t", bytes(MOST_BYTES // 4)))

    assert inbox.take_dropped() == 96


def test_what_was_read_makes_room() -> None:
    inbox = Inbox()
    for _ in range(3 * MOST_MESSAGES):
        inbox.put_message(1, STRANGER)
        assert inbox.get(1, 0.0) == STRANGER

    assert inbox.take_dropped() == 0


def test_a_stop_goes_before_what_is_waiting_and_is_heard_once() -> None:
    inbox = Inbox()
    for _ in range(MOST_MESSAGES):
        inbox.put_message(1, STRANGER)
    inbox.request_stop()

    assert inbox.get(1, 0.0) == StopRequested()
    assert inbox.get(1, 0.0) == STRANGER
    assert {type(inbox.get(1, 0.0)) for _ in range(MOST_MESSAGES)} == {
        ev.MessageReceived,
        type(None),
    }


def test_a_stop_ends_a_wait() -> None:
    inbox = Inbox()
    threading.Timer(0.01, inbox.request_stop).start()

    assert inbox.get(1, 60.0) == StopRequested()
