"""Whatever comes in which order, does an operating device keep to its turn and lose nothing?"""

from itertools import count
from typing import Final

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from device.operation.operation import Operation, Resumed
from device.operation.outbox import MemoryOutbox
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
    ev.PublishAcknowledged(),
    ev.PublishAcknowledged(),
    ev.PublishAcknowledged(),
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
        self.operation = Operation("SN-1", tasks, connect_timeout=20.0, reply_timeout=15.0)
        self.is_connected = False
        self.in_flight: act.Action | None = None
        self.arrived: list[int] = []
        self.lost = 0
        self.receive(self.operation.begin())

    def receive(self, event: ev.Event) -> None:
        if isinstance(event, ev.TimedOut) and self.operation.timeout is None:
            return
        if isinstance(event, ev.Connected):
            self.is_connected = True
        match event, self.in_flight:
            case ev.PublishAcknowledged(), act.Publish(topic, payload):
                self.in_flight = None
                if topic == "t":
                    self.arrived.append(msgspec.json.decode(payload, type=Reading).sequence)
            case ev.Subscribed() | ev.SubscriptionDenied(), act.Subscribe():
                self.in_flight = None
        for order in self.operation.receive(event, self.now):
            self.perform(order)

    def perform(self, order: act.Action) -> None:
        if isinstance(order, act.Publish | act.Subscribe):
            assert self.is_connected, "nothing is sent where no connection is"
            assert self.in_flight is None, "one order is in flight at a time"
            self.in_flight = order
        elif isinstance(order, Report) and order.name == "telemetry dropped":
            is_one = order.detail.startswith("message ")
            self.lost += 1 if is_one else int(order.detail.split()[0])
        elif isinstance(order, act.WaitBeforeRetry):
            self.is_connected, self.in_flight = False, None
            self.receive(Resumed())

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

    assert device.arrived == sorted(set(device.arrived)), "in order, each once"
    assert len(device.arrived) + device.lost == device.measured
