"""The smallest work for the loop: it asks one question and ends with whatever comes."""

from collections.abc import Sequence

from device.connection.session import Session
from device.operation.task import Report
from device.operation.work import Work
from device.provisioning import actions as act
from device.provisioning import events as ev
from device.runtime.backoff import Backoff
from device.runtime.clock import Clock
from device.runtime.loop import Loop, Observer
from device.runtime.notify import ServiceManager
from tests.support.worlds import Diary

REPLY = ev.MessageReceived("reply", b"")


class Asking(Work):
    """Waits ``timeout`` seconds for `REPLY`, which means `ev.Subscribed`."""

    step = "asking"
    timeout = 0.0

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self.got: ev.Event | None = None

    @property
    def finished(self) -> bool:
        return self.got is not None

    def begin(self) -> ev.Event:
        return ev.NothingStored()

    def resume(self) -> ev.Event:
        raise NotImplementedError

    def reply_in(self, message: ev.MessageReceived) -> ev.Event | None:
        return ev.Subscribed() if message == REPLY else None

    def receive(self, event: ev.Event, _: float) -> Sequence[act.Action]:
        self.got = None if isinstance(event, ev.NothingStored) else event
        return []

    def on_stopped(self) -> Sequence[Report]:
        return [Report("asking no more")]


def loop_over(
    session: Session,
    clock: Clock,
    *,
    observer: Observer | None = None,
    service: ServiceManager | None = None,
) -> Loop:
    """Return a loop with the usual back-off."""
    return Loop(
        session,
        clock=clock,
        backoff=Backoff(1.0, 120.0),
        stable_after=30.0,
        observer=observer or Diary(),
        service=service or ServiceManager({}),
    )
