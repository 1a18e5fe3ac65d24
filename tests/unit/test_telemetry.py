"""Does telemetry lose no reading in silence, whatever happens to the connection?"""

from itertools import count

import pytest

from device.operation.outbox import MemoryOutbox
from device.operation.task import Order, Report
from device.operation.telemetry import Reading, Telemetry
from device.provisioning.actions import Publish


def telemetry(most: int = 3) -> Telemetry:
    numbers = count(1)

    def measure() -> Reading:
        return Reading(sequence=next(numbers), uptime=0.0, time=0.0)

    return Telemetry("t", 60.0, measure, MemoryOutbox(most))


def publication(order: Order) -> Publish:
    assert isinstance(order, Publish)
    return order


@pytest.mark.parametrize(
    ("lost", "words"),
    [(1, "message 1: there was no room for more"), (3, "3 messages, from 1 to 3: there was")],
)
def test_what_an_outage_cost_is_said_at_its_end(lost: int, words: str) -> None:
    task = telemetry(most=3)
    for moment in range(3 + lost):
        assert task.on_due(moment) == []

    report, order, *_ = task.on_connected()

    assert isinstance(report, Report)
    assert report.name == "telemetry dropped"
    assert report.detail.startswith(words)
    assert b'"sequence":%d,' % (lost + 1) in publication(order).payload


def test_readings_under_way_go_again_after_an_outage_in_order() -> None:
    task = telemetry()
    task.on_connected()
    [first], [second] = task.on_due(0.0), task.on_due(60.0)
    task.on_disconnected()

    assert task.on_connected() == [first, second]
    told = Report("telemetry acknowledged", "message 2")
    assert task.on_acknowledged(publication(second)) == [told]
    task.on_disconnected()
    assert task.on_connected() == [first]


def test_the_next_reading_is_due_after_the_interval() -> None:
    task = telemetry()
    assert task.next_due() < 0.0, "the first is due at once"
    task.on_due(5.0)

    assert task.next_due() == 65.0
