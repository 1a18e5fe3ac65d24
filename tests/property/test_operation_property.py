"""Whatever comes in which order, does an operating device keep to its limits and lose nothing?"""

from itertools import count
from typing import Final

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from device.operation.operation import Operation, Resumed
from device.operation.outbox import MemoryOutbox
from device.operation.sending import MOST_UNDER_WAY
from device.operation.task import Report, Task
from device.operation.telemetry import Reading, Telemetry
from device.provisioning import actions as act
from device.provisioning import events as ev
from device.provisioning.events import Credential
from tests.support.echo import Echo

EVENTS: Final[tuple[ev.Event, ...]] = (
    ev.Connected(Credential.DEVICE),
    ev.Subscribed(),
    ev.SubscriptionDenied(("cmd/SN-1/+",)),
    *(ev.PublishAcknowledged(which) for which in (0, 0, 0, 1, -1, 99)),
    ev.PublishDenied("t"),
    ev.NotAcknowledged("busy", "wait", may_succeed_later=True),
    ev.MessageReceived("cmd/SN-1/blink", b"twice"),
    ev.NotLetIn("CONNACK 0x87"),
    ev.ConnectFailed("down"),
    ev.ConnectionLost("gone"),
    ev.ConnectionLost("0x8E", taken_over=True),
    ev.Disconnected(),
    ev.TimedOut(),
)
"""An acknowledgement is for that one of the publications under way, counted from the oldest."""
RATE: Final = 3
"""Publications a second: few, so that the limit is met."""
Moments = list[tuple[ev.Event | None, float]]


class Device:
    """An operation, and the rules of the connection that it is to keep to."""

    def __init__(self, most: int) -> None:
        numbers = count(1)

        def measure() -> Reading:
            self.measured = next(numbers)
            return Reading(sequence=self.measured, uptime=0.0, time=0.0)

        self.measured, self.now = 0, 0.0
        tasks: list[Task] = [Telemetry("t", 60.0, measure, MemoryOutbox(most)), Echo()]
        self.operation = Operation(
            "SN-1", tasks, connect_timeout=20.0, reply_timeout=15.0, publish_rate=RATE
        )
        self.is_connected = self.is_subscribing = False
        self.under_way: dict[int, act.Publish] = {}
        self.sent_at: list[float] = []
        self.sent: list[int] = []
        """Readings of this connection."""
        self.arrived: list[int] = []
        self.lost = 0
        self.receive(self.operation.begin())

    def receive(self, event: ev.Event) -> None:
        is_late = self.operation.timeout is not None or self.operation.overdue_at <= self.now
        if isinstance(event, ev.TimedOut) and not is_late:
            return
        if isinstance(event, ev.Connected):
            self.is_connected = True
        if isinstance(event, ev.Subscribed | ev.SubscriptionDenied):
            self.is_subscribing = False
        if isinstance(event, ev.PublishAcknowledged):
            event = self.acknowledge(event.ticket)
        for order in self.operation.receive(event, self.now):
            self.perform(order)

    def acknowledge(self, which: int) -> ev.Event:
        """Return the acknowledgement of one that is under way, or of none."""
        tickets = sorted(self.under_way)
        if not -len(tickets) <= which < len(tickets):
            return ev.PublishAcknowledged(-1)
        order = self.under_way.pop(tickets[which])
        if order.topic == "t":
            self.arrived.append(_number_of(order))
        return ev.PublishAcknowledged(order.ticket)

    def perform(self, order: act.Action) -> None:
        if isinstance(order, act.Subscribe):
            assert self.is_connected, "nothing is sent where no connection is"
            assert not self.under_way, "subscriptions come first"
            self.is_subscribing = True
        elif isinstance(order, act.Publish):
            self.publish(order)
        elif isinstance(order, Report) and order.name == "telemetry dropped":
            is_one = order.detail.startswith("message ")
            self.lost += 1 if is_one else int(order.detail.split()[0])
        elif isinstance(order, act.WaitBeforeRetry):
            self.is_connected = self.is_subscribing = False
            self.under_way.clear()
            self.sent.clear()
            self.receive(Resumed())

    def publish(self, order: act.Publish) -> None:
        assert self.is_connected, "nothing is sent where no connection is"
        assert not self.is_subscribing
        self.under_way[order.ticket] = order
        assert len(self.under_way) <= MOST_UNDER_WAY
        self.sent_at.append(self.now)
        assert len(self.sent_at) <= RATE or self.now - self.sent_at[-RATE - 1] >= 1.0
        if order.topic == "t":
            self.sent.append(_number_of(order))
            assert self.sent == sorted(set(self.sent)), "in order, each once a connection"

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        for order in self.operation.on_due(self.now):
            self.perform(order)


@given(
    moments=st.lists(st.tuples(st.sampled_from((*EVENTS, None)), st.floats(0.0, 70.0))),
    most=st.integers(1, 5),
)
def test_no_reading_is_lost_in_silence(moments: Moments, most: int) -> None:
    device = Device(most)

    for event, seconds in moments:
        device.pass_time(seconds)
        if event is not None:
            device.receive(event)
    for report in device.operation.on_stopped():
        device.perform(report)

    assert len(device.arrived) == len(set(device.arrived)), "each once"
    assert len(device.arrived) + device.lost == device.measured


def _number_of(order: act.Publish) -> int:
    return msgspec.json.decode(order.payload, type=Reading).sequence
