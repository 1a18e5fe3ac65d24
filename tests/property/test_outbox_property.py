"""Whatever is put, acknowledged and cut: is nothing that was accepted lost, nor out of order?"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from device.operation.outbox import MemoryOutbox, Window
from device.operation.sending import MOST_UNDER_WAY
from device.provisioning.actions import Publish
from device.runtime.durable_outbox import DurableOutbox
from tests.support.crash_states import crash_states
from tests.support.recording_fs import RecordingDisk

PLACE: Final = Path("outbox")
Steps = Sequence[tuple[str, int]]
KINDS: Final = ("put", "put", "arrives", "arrives", "settle", "cut", "cut_amid_put")
STEPS: Final = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 9)), max_size=12)


class Station:
    """An outbox on a disk that a cut may leave in any state that POSIX allows."""

    def __init__(self) -> None:
        self.accepted: set[int] = set()
        self.arrived: set[int] = set()
        self.last = 0
        self.mount(RecordingDisk({PLACE.name: {}}))

    def mount(self, disk: RecordingDisk) -> None:
        self.disk = disk
        self.disk.acknowledge(None)
        self.outbox = DurableOutbox(disk.mount(PLACE), bytes(32))
        self.window = Window(self.outbox)
        self.window.open()

    def put(self, count: int) -> None:
        self.accepted |= self.offer(count)

    def offer(self, count: int) -> set[int]:
        group = range(self.last + 1, self.last + 2 + count % 4)
        self.last = group[-1]
        self.outbox.put(*(Publish("t", b"%d" % number) for number in group))
        return set(group)

    def arrives(self, which: int) -> None:
        self.window.take()
        if self.window.under_way:
            publication = self.outbox.at(which % self.window.under_way)
            self.arrived.add(int(publication.payload))
            assert self.window.arrived(publication)

    def settle(self, _: int) -> None:
        self.outbox.settle()
        again = DurableOutbox(RecordingDisk(self.disk.content()).mount(PLACE), bytes(32))
        assert waiting(again) == waiting(self.outbox), "a stop in good order repeats nothing"

    def cut(self, which: int) -> None:
        self.cut_after(len(self.disk.operations), which)

    def cut_amid_put(self, which: int) -> None:
        before = len(self.disk.operations)
        self.offer(which)
        self.cut_after(before, which)
        self.accepted |= set(waiting(self.outbox))

    def cut_after(self, operations: int, which: int) -> None:
        states = list(crash_states(self.disk, operations))
        self.mount(RecordingDisk(states[which * len(states) // 10].disk))

    def check(self) -> None:
        found = waiting(self.outbox)
        assert found == sorted(set(found)), "in order, each once"
        assert self.accepted - self.arrived <= set(found) <= self.accepted


def waiting(outbox: DurableOutbox) -> list[int]:
    return [int(outbox.at(position).payload) for position in range(len(outbox))]


@settings(max_examples=60)
@given(steps=STEPS)
def test_what_was_accepted_waits_in_order_until_it_arrives(steps: Steps) -> None:
    station = Station()

    for step, number in steps:
        getattr(station, step)(number)
        station.check()


@given(answers=st.lists(st.integers(0, 2 * MOST_UNDER_WAY)), count=st.integers(0, 80))
def test_a_window_sends_each_once_in_order_and_never_more_than_it_may(
    answers: Sequence[int], count: int
) -> None:
    outbox = MemoryOutbox()
    outbox.put(*(Publish("t", b"%d" % number) for number in range(count)))
    window = Window(outbox)
    window.open()
    sent = list(window.take())

    for which in answers:
        if window.under_way:
            assert window.arrived(outbox.at(which % window.under_way))
        sent += window.take()
        assert window.under_way <= MOST_UNDER_WAY

    assert [int(each.payload) for each in sent] == list(range(len(sent)))
    assert len(sent) == min(count, MOST_UNDER_WAY + count - len(outbox))
