"""Few Lambda functions start at the same time: one for each core.

On AWS an invocation that finds no idle execution environment gets a new one, and AWS's machines
start as many as are asked for. Here an environment is a process that loads boto3, which takes a
core for a second. When a hundred devices renew at once, up to a hundred processes start, and
share the cores. One that takes longer than its function's time is stopped by MiniStack, so that
the next try starts anew.

Here an invocation waits until an environment is idle or a core is free to start one. An
environment counts as starting until it can take its first event, and not until it has
answered: so a function that invokes itself never waits for its own answer.
"""

import os
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from localcloud.seam import Seam

Worker = Any
Leased = tuple[Worker, str]

_CORES: Final = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def limit_starts(runtime: Seam, service: Seam, most: int = _CORES or 1) -> None:
    """Let at most ``most`` functions start at the same time, of the local executor.

    ``runtime`` is MiniStack's ``lambda_runtime``, ``service`` its ``lambda_svc``.
    """
    starts = Starts(runtime, most)
    for kind in map(Seam, (runtime["Worker"], runtime["ProvidedWorker"])):
        kind["_spawn"] = _ending_its_start(kind["_spawn"], starts.end)
    service["acquire_worker"] = starts.acquire
    service["release_worker"] = starts.release


class Starts:
    """Leases MiniStack's workers, and counts those that are starting."""

    def __init__(self, runtime: Seam, most: int) -> None:
        """Lease the workers of ``runtime``'s pool; ``most`` of them may be starting."""
        self._runtime = runtime
        self._most = most
        self._starting: set[int] = set()
        self._changed = threading.Condition(runtime["_lock"])

    def acquire(
        self, func_name: str, config: dict[str, Any], code_zip: bytes, qualifier: str = "$LATEST"
    ) -> Leased:
        """Lease a worker of the function: wait for one that is idle, or that may start."""
        key = self._runtime["_worker_key"](func_name, config, qualifier)
        make = self._runtime["_worker_class_for"](config)
        with self._changed:
            while True:
                idle = [each for each in self._pool(key) if not each.in_use]
                ready = next(filter(_is_running, idle), None)
                if ready is not None:
                    return self._lease(ready)
                if len(self._starting) < self._most:
                    return self._start(key, idle, lambda: make(func_name, config, code_zip))
                self._changed.wait()

    def release(self, worker: Worker) -> None:
        """Take a worker back; None is what MiniStack dropped itself."""
        self._runtime["release_worker"](worker)
        self.end(worker)

    def end(self, worker: Worker) -> None:
        """A worker has started, or failed to; wake those that wait."""
        with self._changed:
            self._starting.discard(id(worker))
            self._changed.notify_all()

    def _pool(self, key: str) -> list[Worker]:
        pool: list[Worker] = self._runtime["_workers"].setdefault(key, [])
        return pool

    def _start(self, key: str, idle: list[Worker], make: Callable[[], Worker]) -> Leased:
        if not idle:
            self._pool(key).append(make())
        worker = idle[0] if idle else self._pool(key)[-1]
        self._starting.add(id(worker))
        return self._lease(worker)

    @staticmethod
    def _lease(worker: Worker) -> Leased:
        worker.in_use, worker.last_used = True, time.time()
        return worker, "reused" if _is_running(worker) else "spawn"


def _is_running(worker: Worker) -> bool:
    return worker._proc is not None and worker._proc.poll() is None  # noqa: SLF001 - MiniStack's own test


def _ending_its_start(
    spawn: Callable[..., None], end: Callable[[Worker], None]
) -> Callable[..., None]:
    def _spawn(worker: Worker, **options: object) -> None:
        try:
            spawn(worker, **options)
        finally:
            end(worker)

    return _spawn
