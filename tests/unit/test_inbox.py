"""Is the queue of news bounded, and is a stop heard before whatever waits in it?"""

import threading

from device.connection.inbox import MOST_BYTES, MOST_MESSAGES, Inbox
from device.connection.session import StopRequested
from device.provisioning import events as ev

STRANGER = ev.MessageReceived("a/topic", b"")


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
