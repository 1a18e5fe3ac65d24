"""How many Lambda functions the local AWS starts at the same time."""

import threading
from types import SimpleNamespace
from typing import Any

from localcloud.process.lambda_starts import Starts, limit_starts
from localcloud.seam import Seam

FUNCTION: dict[str, Any] = {"FunctionName": "hook"}


class FakeProcess:
    """A worker's process that runs until somebody says that it ended."""

    ended: int | None = None

    def poll(self) -> int | None:
        return self.ended


class FakeWorker:
    """MiniStack's worker, without a process."""

    def __init__(self, *_: object) -> None:
        self.in_use = False
        self.last_used = 0.0
        self._proc: FakeProcess | None = None

    def _spawn(self) -> None:
        self._proc = FakeProcess()

    def start(self) -> None:
        self._spawn()

    def end(self) -> None:
        """Its function's time was over: MiniStack has stopped the process."""
        self._proc = None


def runtime() -> SimpleNamespace:
    """MiniStack's module, with a pool of its own."""

    class Worker(FakeWorker):
        pass

    class ProvidedWorker(FakeWorker):
        pass

    def release_worker(worker: FakeWorker | None) -> None:
        if worker is not None:
            worker.in_use = False

    return SimpleNamespace(
        Worker=Worker,
        ProvidedWorker=ProvidedWorker,
        release_worker=release_worker,
        _workers={},
        _lock=threading.Lock(),
        _worker_key=lambda name, _config, qualifier: f"{name}:{qualifier}",
        _worker_class_for=lambda _config: Worker,
    )


class Service:
    """What invokes functions: MiniStack's module, as far as it leases workers."""

    acquire_worker: Any = None
    release_worker: Any = None


def limited(most: int) -> tuple[SimpleNamespace, Service]:
    """A runtime and a service with the limit."""
    module, service = runtime(), Service()
    limit_starts(Seam(module), Seam(service), most)
    return module, service


def waiting(service: Service) -> tuple[threading.Thread, list[Any]]:
    """Lease a worker in a thread; the list has the lease when it is there."""
    leases: list[Any] = []
    thread = threading.Thread(
        target=lambda: leases.append(service.acquire_worker("hook", FUNCTION, b"")), daemon=True
    )
    thread.start()
    return thread, leases


def test_a_third_invocation_waits_while_two_start() -> None:
    _, service = limited(2)
    first, second = (service.acquire_worker("hook", FUNCTION, b"") for _ in range(2))
    thread, leases = waiting(service)
    thread.join(0.05)
    assert (first[1], second[1], leases) == ("spawn", "spawn", [])
    first[0].start()
    thread.join(5)
    assert [reason for _, reason in leases] == ["spawn"]


def test_an_invocation_that_waits_takes_the_worker_that_becomes_idle() -> None:
    _, service = limited(1)
    warm, _ = service.acquire_worker("hook", FUNCTION, b"")
    warm.start()
    service.acquire_worker("hook", FUNCTION, b"")
    thread, leases = waiting(service)
    service.release_worker(warm)
    thread.join(5)
    assert leases == [(warm, "reused")]


def test_a_function_that_invokes_itself_does_not_wait_for_its_own_answer() -> None:
    _, service = limited(1)
    workers = []
    for _ in range(4):
        worker, _ = service.acquire_worker("hook", FUNCTION, b"")
        worker.start()
        workers.append(worker)
    assert len(set(map(id, workers))) == 4


def test_a_running_worker_is_leased_before_one_that_was_stopped() -> None:
    _, service = limited(2)
    stopped, warm = (service.acquire_worker("hook", FUNCTION, b"")[0] for _ in range(2))
    for worker in (stopped, warm):
        worker.start()
    stopped.end()
    for worker in (stopped, warm):
        service.release_worker(worker)
    assert service.acquire_worker("hook", FUNCTION, b"") == (warm, "reused")


def test_a_worker_that_was_stopped_is_started_again_and_counts() -> None:
    module, service = limited(1)
    worker, _ = service.acquire_worker("hook", FUNCTION, b"")
    worker.start()
    worker.end()
    service.release_worker(worker)
    assert service.acquire_worker("hook", FUNCTION, b"") == (worker, "spawn")
    assert len(module._workers["hook:$LATEST"]) == 1
    thread, leases = waiting(service)
    thread.join(0.05)
    assert leases == []


def test_a_worker_that_never_started_gives_its_place_back() -> None:
    starts = Starts(Seam(runtime()), 1)
    worker, _ = starts.acquire("hook", FUNCTION, b"")
    starts.release(worker)
    assert starts.acquire("hook", FUNCTION, b"") == (worker, "spawn")
