"""A batch of devices on the production line: several processes make, one keeps the ledger.

A device is bound by the disk, which has to have it before anybody calls it made, and by its key
and signatures. So two processes a core make devices, each with the station open for reading; 16
devices become durable by one sync, and get their lines of the ledger by one write. A device that
fails is entered with its cause, and the others go on. What has to ask AWS for each device is made
here, one after the other.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Final, TypeVar

from device.errors import FirstbootError
from device.errors.storage import StorageError
from factory.account.accounts import aws_accounts
from factory.account.cloud import Cloud
from factory.errors import LINE_CUT
from factory.making.admission import (
    Admission,
    Admitted,
    Failed,
    Wanted,
    admit,
    preview,
    used_by,
)
from factory.making.new_device import DeviceOrder
from factory.making.new_folder import NewFolders
from factory.methods import METHODS
from factory.methods.production import (
    Make,
    Product,
    Start,
    as_made,
    finished,
    maker,
    retire_former,
    starter,
)
from factory.station.ledger import Ledger, LedgerView, Result
from factory.station.station import Station, open_station

PART: Final = 1000
"""So many devices are in memory at a time, whatever the batch has."""
_AT_ONCE: Final = 16
"""Devices that a process makes before it reports."""
_MOST_PROCESSES: Final = 16
_WORTH_PROCESSES: Final = 32
"""Devices below which starting processes takes longer than making."""


@dataclass(frozen=True)
class Line:
    """Where a batch is made."""

    method: str
    station: Station
    clouds: Sequence[Cloud]
    batch: str | None
    jobs: int = 0
    """Processes; 0: two a core."""
    clock: Callable[[], float] = time.monotonic


@dataclass(frozen=True)
class Piece:
    """What became of one device of the batch."""

    wanted: Wanted
    product: Product | None = None
    failed: Failed | None = None
    seconds: float = 0.0
    retired: Sequence[str] = ()


class Plan(StrEnum):
    """What a run would do about a device."""

    NEW = "new"
    RESUMED = "resumed"
    """Begun by a run that was stopped."""
    THERE = "there"
    """Made already; it stays as it is."""
    REPLACES = "replaces"
    """Another device has the serial number, and would be retired."""


def plan_line(line: Line, wanted: Iterable[Wanted]) -> Iterator[tuple[Wanted, Plan]]:
    """Yield what `run_line` would do; nothing is written.

    Raises:
        SerialNumberUsedError, DeviceIdError: another device has a serial number, or an id.
        LedgerError, StorageError: the ledger cannot be read.
    """
    ledger = Ledger(line.station.folder)
    for part in _parts(wanted):
        decided = preview(ledger, [_as_admitted(line, each) for each in part])
        yield from zip(part, [_planned(each, line.batch) for each in decided], strict=True)


def check_line(line: Line, wanted: Iterable[Wanted]) -> None:
    """Refuse the batch before anything is made, if another device has one of its serial numbers.

    Raises:
        SerialNumberUsedError, DeviceIdError: one has.
    """
    for _ in plan_line(line, wanted):
        continue


def _planned(admission: Admission, batch: str | None) -> Plan:
    own = admission.own
    if own is None:
        return Plan.REPLACES if admission.former else Plan.NEW
    if own.result is not Result.MADE:
        return Plan.RESUMED
    if own.batch != batch:
        raise used_by(own)
    return Plan.THERE


def run_line(line: Line, wanted: Iterable[Wanted]) -> Iterator[Piece]:
    """Make the devices, and yield each when the ledger has it; the batch goes on if one fails.

    A run that was stopped is followed by another with the same devices: what is made stays, and
    is yielded again.

    Raises:
        BatchBusyError: another process makes the batch.
        SerialNumberUsedError: another device has got a serial number meanwhile.
        LedgerError, StorageError: the ledger cannot be read or written.
    """
    alone = Ledger(line.station.folder).making(line.batch) if line.batch else nullcontext()
    with alone, _making(line) as make_all:
        for part in _parts(wanted):
            yield from _make_part(line, part, make_all)


Task = tuple[DeviceOrder, Path, bool]
"""An order, the folder, and whether a finished device in it is taken as it is."""
Answer = tuple[Product | Failed, float]
MakeAll = Callable[[Sequence[Task]], Iterator[Answer]]


def _make_part(line: Line, part: Sequence[Wanted], make_all: MakeAll) -> Iterator[Piece]:
    ledger = Ledger(line.station.folder)
    wanted = [_as_admitted(line, each) for each in part]
    admitted = admit(ledger, wanted, line.method, line.batch)
    notes = [
        retire_former(each, at.out, line.clouds) if each.former else []
        for each, at in zip(admitted, wanted, strict=True)
    ]
    view = ledger.view({each.order.serial_number for each in admitted}, frozenset())
    registers = METHODS[line.method].is_registering
    tasks = [
        (each.order, at.out, each.is_resumed and not registers)
        for each, at in zip(admitted, wanted, strict=True)
    ]
    answers = zip(admitted, wanted, notes, make_all(tasks), strict=True)
    while group := list(islice(answers, _AT_ONCE)):
        pieces = [(each, _piece(at, said, answer)) for each, at, said, answer in group]
        _enter(ledger, view, pieces)
        yield from (piece for _, piece in pieces)


def _piece(wanted: Wanted, notes: Sequence[str], answer: Answer) -> Piece:
    found, seconds = answer
    if isinstance(found, Failed):
        return Piece(wanted, failed=found, seconds=seconds, retired=notes)
    return Piece(wanted, found, seconds=seconds, retired=notes)


def _enter(ledger: Ledger, view: LedgerView, pieces: Sequence[tuple[Admitted, Piece]]) -> None:
    """Enter what became of several devices, by one write."""
    with ledger.locked():
        view.refresh()
        lines = []
        for admitted, piece in pieces:
            entries = view.of_serial_number(admitted.order.serial_number)
            if piece.failed is not None:
                lines += admitted.failed_lines(piece.failed, entries)
            elif piece.product is not None and not admitted.is_entered_as_made:
                made = replace(piece.product.entry(), seconds=round(piece.seconds, 3))
                lines += admitted.lines(made, entries)
        if lines:
            ledger.append(*lines)


def _as_admitted(line: Line, wanted: Wanted) -> Wanted:
    can_fail = not METHODS[line.method].is_made_online
    return replace(wanted, completes=True, can_fail=can_fail)


def _parts(wanted: Iterable[Wanted]) -> Iterator[list[Wanted]]:
    iterator = iter(wanted)
    while part := list(islice(iterator, PART)):
        yield part


@contextmanager
def _making(line: Line) -> Iterator[MakeAll]:
    """Lend what makes several devices; the answers come in the order of the tasks."""
    jobs = line.jobs or default_jobs()
    if _asks_aws(line):
        yield partial(
            map, partial(_answer, maker(line.method, line.station, line.clouds), line.clock)
        )
        return
    start = starter(line.method, line.station, line.clouds)
    pool: ProcessPoolExecutor | None = None

    def make_all(tasks: Sequence[Task]) -> Iterator[Answer]:
        nonlocal pool
        groups = [tasks[first : first + _AT_ONCE] for first in range(0, len(tasks), _AT_ONCE)]
        if pool is None and (jobs == 1 or len(tasks) < _WORTH_PROCESSES):
            return chain.from_iterable(_answers(start, line.clock, each) for each in groups)
        pool = pool or _processes(line, jobs)
        return chain.from_iterable(pool.map(_in_process, groups))

    try:
        yield make_all
    except BrokenProcessPool as error:
        raise LINE_CUT.error() from error
    finally:
        if pool is not None:
            pool.shutdown(cancel_futures=True)


def _processes(line: Line, jobs: int) -> ProcessPoolExecutor:
    # Not forked from this process, which may have threads and open sockets of the SDK.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])  # loaded once, and not by each process
    return ProcessPoolExecutor(jobs, context, _start, (line.method, line.station.folder))


def default_jobs() -> int:
    """Return two processes a core: while one waits for the disk, the other computes."""
    return min(2 * (os.cpu_count() or 1), _MOST_PROCESSES)


def _asks_aws(line: Line) -> bool:
    served = METHODS[line.method]
    is_hooked = "--hook" in served.options and line.station.asks_for_proof
    return served.is_made_online or served.is_registering or is_hooked


def _answer(make: Make, clock: Callable[[], float], task: Task) -> Answer:
    order, out, is_resumed = task
    begun = clock()
    found = _tried(task, lambda: (finished(order, out) if is_resumed else None) or make(order, out))
    return found, clock() - begun


def _answers(start: Start, clock: Callable[[], float], tasks: Sequence[Task]) -> list[Answer]:
    """Make devices that become durable together; each takes its share of the time."""
    begun = clock()
    with NewFolders() as folders:
        found = [_tried(each, partial(_started, start, folders, each)) for each in tasks]
        failed = folders.settle()
    found = [
        one or _tried(each, partial(_settled, failed, each))
        for one, each in zip(found, tasks, strict=True)
    ]
    share = (clock() - begun) / len(tasks)
    return [(one, share) for one in found if one is not None]


def _started(start: Start, folders: NewFolders, task: Task) -> Product | None:
    """Return the device if it was finished before; else make it, without being durable."""
    order, out, is_resumed = task
    if is_resumed and (product := finished(order, out)):
        return product
    start(order, out, folders)
    return None


def _settled(failed: Mapping[Path, StorageError], task: Task) -> Product:
    order, out, _ = task
    if error := failed.get(out):
        raise error
    return as_made(order, out)


Tried = TypeVar("Tried")


def _tried(task: Task, work: Callable[[], Tried]) -> Tried | Failed:
    try:
        return work()
    except FirstbootError as error:
        order, out, _ = task
        return Failed.by(error, is_left=finished(order, out) is not None)


_until_it_ends: Final = ExitStack()
"""Closed with the process."""
_start_here: Start
"""Of this process: makes devices with the station that it opened."""


def _start(method: str, folder: Path) -> None:
    """Open the station in a process of its own; it stays open as long as the process lives."""
    global _start_here  # noqa: PLW0603 - what a process of a pool keeps between its tasks
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started it ends it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    station = _until_it_ends.enter_context(open_station(folder, read_only=True))
    _start_here = starter(method, station, aws_accounts([], os.environ))  # AWS is never asked here


def _end_with_parent() -> None:
    """End this process, as a power cut would, when the one that started it is gone.

    Else it would wait for work without end, and write into folders that the next run makes.
    """
    if parent := multiprocessing.parent_process():
        parent.join()
        signal.raise_signal(signal.SIGKILL)


def _in_process(tasks: Sequence[Task]) -> list[Answer]:
    return _answers(_start_here, time.monotonic, tasks)
