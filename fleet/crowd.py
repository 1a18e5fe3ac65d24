"""All devices at once: a thread each, switched on at a pace, watched, and stopped together."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fleet.order import OPERATING, STORMS, Scenario
from fleet.record import Record
from fleet.simulated_device import Shared, SimulatedDevice

_STACK: Final = 256 * 1024
"""Bytes of address space; a device's deepest call needs a third."""
_LOOK_SECONDS: Final = 0.25
_STOP_SECONDS: Final = 30.0


@dataclass(frozen=True)
class Moment:
    """How far the fleet was, ``seconds`` after the first device was switched on."""

    seconds: float
    on: int
    proven: int
    operating: int
    calls: int
    memory_kib: int
    cloud_memory_kib: int
    cloud_cpu: float
    """Processor seconds of the local AWS."""


class Crowd:
    """The devices of one order."""

    def __init__(
        self,
        folders: Sequence[Path],
        shared: Shared,
        look: Callable[[Moment], None],
        cloud_pid: int | None,
    ) -> None:
        """Call ``look`` four times a second while they run."""
        self.devices: Final = [SimulatedDevice(each, shared) for each in folders]
        self.moments: Final[list[Moment]] = []
        self.storm_at: float | None = None
        """When the storm came, on the monotonic clock."""
        self.is_through = True
        """Whether every device came through the storm, if there was one."""
        self._order: Final = shared.order
        self._ceiling: Final = shared.ceiling
        self._look: Final = look
        self._cloud_pid: Final = cloud_pid
        self._threads: Final[list[threading.Thread]] = []
        self._on: list[tuple[SimulatedDevice, threading.Thread]] = []
        """Those whose record may still change."""
        self._ended: Final[Counter[str]] = Counter()
        """What the others came to, so that nobody has to count them again."""
        self._started = 0.0

    @property
    def records(self) -> list[Record]:
        """What became of each device."""
        return [device.record for device in self.devices]

    def run(self) -> None:
        """Switch all on, have happen what the order says, and switch all off.

        Raises:
            KeyboardInterrupt: somebody wants it to end; the devices were stopped.
        """
        self._started = time.monotonic()
        former = threading.stack_size(_STACK)  # a device starts threads, too, all the time
        try:
            self._switch_on()
            self._wait_until(self._are_proven, self._order.limit)
            if self._order.scenario in OPERATING:
                self._work()
        finally:
            self._stop()
            threading.stack_size(former)

    # --- the order of events ------------------------------------------------------------------

    def _switch_on(self) -> None:
        for number, device in enumerate(self.devices):
            self._keep_pace(number)
            if self._left() <= 0 or self._ceiling.is_reached:
                return
            thread = threading.Thread(target=device.live, name=device.record.serial)
            thread.daemon = True
            self._threads.append(thread)
            self._on.append((device, thread))
            thread.start()

    def _keep_pace(self, number: int) -> None:
        """Wait until device ``number`` is due, and there is room for one more."""
        if self._order.rate:
            due = self._started + number / self._order.rate
            self._wait_until(lambda: time.monotonic() >= due, self._left())
        elif number % 50 == 0:
            self._note()
        if len(self._on) >= self._order.most_on:
            self._wait_until(self._has_room, self._left())

    def _has_room(self) -> bool:
        self._sort_out()
        return len(self._on) < self._order.most_on

    def _work(self) -> None:
        self._wait_until(self._are_operating, self._left())
        if self._order.scenario in STORMS:
            self._storm()
        until = time.monotonic() + self._order.seconds
        self._wait_until(lambda: time.monotonic() >= until, self._left())

    def _storm(self) -> None:
        """Have it come over all devices in the same instant; wait until they are through."""
        renews = self._order.scenario is Scenario.RENEWAL_STORM
        befell = SimulatedDevice.order_renewal if renews else SimulatedDevice.lose_network
        before = self._through(renews=renews)
        self.storm_at = time.monotonic()
        for device in self.devices:
            befell(device)
        self._wait_until(lambda: self._are_through(before, renews=renews), self._left())
        self.is_through = self._are_through(before, renews=renews)

    def _stop(self) -> None:
        """Stop every device, and wait until it has said goodbye."""
        self._note()
        for device in self.devices:
            device.stop()
        until = time.monotonic() + _STOP_SECONDS
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, until - time.monotonic()))

    # --- what is watched ----------------------------------------------------------------------

    def _are_proven(self) -> bool:
        return all(device.record.is_proven or device.record.failure for device, _ in self._on)

    def _are_operating(self) -> bool:
        return all(device.record.operating or device.record.failure for device, _ in self._on)

    def _through(self, *, renews: bool) -> list[int]:
        return [record.renewals if renews else record.operating for record in self.records]

    def _are_through(self, before: Sequence[int], *, renews: bool) -> bool:
        triples = zip(self.records, self._through(renews=renews), before, strict=True)
        return all(now > former or record.failure for record, now, former in triples)

    def _left(self) -> float:
        return self._order.limit - (time.monotonic() - self._started)

    def _wait_until(self, is_so: Callable[[], bool], most: float) -> None:
        until = time.monotonic() + most
        while not is_so() and time.monotonic() < until and not self._ceiling.is_reached:
            time.sleep(_LOOK_SECONDS)
            self._note()

    def _sort_out(self) -> None:
        """Leave out from now on the devices that have ended."""
        alive = [thread.is_alive() for _, thread in self._on]
        pairs = list(zip(self._on, alive, strict=True))
        self._ended.update(_tally([device.record for (device, _), lives in pairs if not lives]))
        self._on = [each for each, lives in pairs if lives]

    def _note(self) -> None:
        self._sort_out()
        now = self._ended + _tally([device.record for device, _ in self._on])
        moment = Moment(
            seconds=time.monotonic() - self._started,
            on=len(self._on),
            proven=now["proven"],
            operating=now["operating"],
            calls=now["calls"],
            memory_kib=memory_kib("self"),
            cloud_memory_kib=memory_kib(str(self._cloud_pid)) if self._cloud_pid else 0,
            cloud_cpu=cpu_seconds(str(self._cloud_pid)) if self._cloud_pid else 0.0,
        )
        self.moments.append(moment)
        self._look(moment)


def _tally(records: Sequence[Record]) -> Counter[str]:
    return Counter(
        proven=sum(record.is_proven for record in records),
        operating=sum(record.operating > 0 for record in records),
        calls=sum(sum(record.calls.values()) for record in records),
    )


def memory_kib(process: str) -> int:
    """Return the resident memory of a process; 0 where there is no /proc."""
    with suppress(OSError, ValueError):
        for line in Path("/proc", process, "status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    return 0


def cpu_seconds(process: str) -> float:
    """Return the processor seconds of a process, user and system; 0 where there is no /proc."""
    with suppress(OSError, ValueError):
        fields = Path("/proc", process, "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100
    return 0.0
