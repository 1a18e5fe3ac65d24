"""What Locust runs: one of its users drives many devices, each in a real thread.

Start it with ``python -m fleet.swarm``. The master hears from the workers which devices are proven,
ends the test when all are, and names those that it never heard of: a worker that died had them.
"""

import csv
import logging
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import gevent
from locust import User, events, task
from locust.exception import StopUser
from locust.runners import MasterRunner, WorkerRunner

from device.connection.awscrt_session import Network
from device.connection.pump import Pump
from fleet.errors import FleetError
from fleet.limits import share_heap, this_machine, use_what_is_allowed
from fleet.record import Record
from fleet.sessions import Ceiling
from fleet.share import SwarmOrder, swarm_order
from fleet.simulated_device import Shared, SimulatedDevice

_LOG: Final = logging.getLogger("fleet")
_LOOK_SECONDS: Final = 0.2
_RESULT: Final = "fleet-device"
_CSV: Final = Path("fleet-devices.csv")


class Worker:
    """The devices of this process that no user has yet, and what they share."""

    def __init__(self, order: SwarmOrder, index: int) -> None:
        """Take the share of worker ``index``."""
        self.order: Final = order
        self.index: Final = index
        self.shared: Final = Shared(order.fleet, Network(Pump()), Ceiling(None))
        self._left: Final = list(order.share(index))
        self._on = 0
        use_what_is_allowed()
        share_heap()

    def bundle(self) -> list[SimulatedDevice]:
        """Return the next devices; none when all had their turn.

        Raises:
            FleetError: this machine has no room for them beside those that are on.
        """
        self.order.refuse_too_many(self._on, this_machine())
        folders, self._left[: self.order.bundle] = self._left[: self.order.bundle], []
        self._on += len(folders)
        return [SimulatedDevice(each, self.shared) for each in folders]

    def ended(self, devices: int) -> None:
        """Note that so many devices are off again."""
        self._on -= devices


class Devices(User):  # type: ignore[misc]  # locust is not followed
    """Drives a bundle of devices, and then the next."""

    @task  # type: ignore[untyped-decorator]
    def live(self) -> None:
        """Switch a bundle on; return when all its devices have ended."""
        worker = worker_of(self.environment)
        devices = self._next_bundle(worker)
        threads = [threading.Thread(target=each.live, daemon=True) for each in devices]
        for thread in threads:
            thread.start()
        told = dict.fromkeys((each.record.serial for each in devices), 0)
        try:
            while any(thread.is_alive() for thread in threads):
                gevent.sleep(_LOOK_SECONDS)
                self._tell(devices, told)
        finally:
            for each in devices:
                each.stop()
            worker.ended(len(devices))
        self._tell(devices, told)
        for each in devices:
            _report(self.environment, each.record)

    def _next_bundle(self, worker: Worker) -> list[SimulatedDevice]:
        try:
            devices = worker.bundle()
        except FleetError as error:
            _LOG.error("%s; next: %s", error, error.next_step)
            raise StopUser from error
        if not devices:
            raise StopUser
        return devices

    def _tell(self, devices: list[SimulatedDevice], told: dict[str, int]) -> None:
        """Have Locust count the steps that were passed since the last time."""
        for device in devices:
            record = device.record
            for step in record.steps[told[record.serial] :]:
                told[record.serial] += 1
                _fire(self.environment, step.name, step.ms, None)


def _fire(environment: Any, name: str, ms: float, problem: str | None) -> None:
    exception = None if problem is None else RuntimeError(problem)
    environment.events.request.fire(
        request_type="device", name=name, response_time=ms, response_length=0,
        exception=exception, context={},
    )  # fmt: skip


def _report(environment: Any, record: Record) -> None:
    """Have Locust count the device, and tell the master what became of it."""
    problem = None if record.is_proven else record.failure or "stopped before it was proven"
    _fire(environment, "first boot", (record.proven_after or 0.0) * 1000, problem)
    worker = worker_of(environment)
    found = {
        "serial": record.serial, "worker": worker.index, "problem": problem or "",
        "certificate_id": record.certificate_id, "proven_after": record.proven_after,
    }  # fmt: skip
    runner = environment.runner
    if isinstance(runner, WorkerRunner):
        runner.send_message(_RESULT, found)
    else:
        _HEARD[record.serial] = found


_HEARD: Final[dict[str, Mapping[str, Any]]] = {}
"""At the master: what each device's worker said of it."""
_WORKER: Final[list[Worker]] = []


def worker_of(environment: Any) -> Worker:
    """Return this process's share; it is known once the master has numbered the workers."""
    if not _WORKER:
        runner = environment.runner
        is_worker = isinstance(runner, WorkerRunner)
        _WORKER.append(Worker(swarm_order(), runner.worker_index if is_worker else 0))
    return _WORKER[0]


@events.init.add_listener  # type: ignore[untyped-decorator]
def _listen(environment: Any, **_: Any) -> None:
    order = swarm_order()
    if not isinstance(environment.runner, MasterRunner):
        return
    wanted = {each.name for each in order.folders}

    def hear(environment: Any, msg: Any, **_: Any) -> None:
        _HEARD[msg.data["serial"]] = msg.data
        if wanted <= _HEARD.keys():
            gevent.spawn_later(1.0, environment.runner.quit)

    environment.runner.register_message(_RESULT, hear)


@events.quitting.add_listener  # type: ignore[untyped-decorator]
def _write(environment: Any, **_: Any) -> None:
    """Write what became of each device; the exit code says whether all are proven."""
    if isinstance(environment.runner, WorkerRunner):
        return
    rows = list(_rows(swarm_order()))
    with _CSV.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(
            file, ["serial", "worker", "certificate_id", "proven_after", "problem"]
        )
        writer.writeheader()
        writer.writerows(rows)
    environment.process_exit_code = int(any(row["problem"] for row in rows))


def _rows(order: SwarmOrder) -> Iterator[Mapping[str, Any]]:
    for number, folder in enumerate(order.folders):
        lost = {
            "serial": folder.name, "worker": number % order.workers, "certificate_id": "",
            "proven_after": "", "problem": "not heard of: its worker ended before the device did",
        }  # fmt: skip
        yield _HEARD.get(folder.name, lost)
