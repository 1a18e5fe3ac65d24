"""Whether a device may be made with its serial number, and what the ledger keeps of it.

A make that was interrupted is resumed in the same folder, and is not a second device. A second
device is made only on purpose (``--again``), and then the former one is retired.
"""

import shlex
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from device.errors import FirstbootError
from factory.errors import DEVICE_ID, MACHINE_REFUSED, REPLACED_MEANWHILE, SERIAL_NUMBER_USED
from factory.making.new_device import DeviceOrder
from factory.station.ledger import Entry, Ledger, LedgerView, Result, holders


@dataclass(frozen=True)
class Wanted:
    """A device that is to be made, and how the ledger is to look at it."""

    order: DeviceOrder
    out: Path
    again: bool = False
    """Replace the device that has the serial number."""
    completes: bool = False
    """Whether this run may complete a finished device in ``out``: register it, or call it made."""
    can_fail: bool = False
    """An error leaves nothing of the device that AWS could know of."""

    def __post_init__(self) -> None:
        """Refuse a folder that the ledger, which is UTF-8, could not name."""
        try:
            str(self.out).encode()
        except UnicodeEncodeError as error:
            step = "Use a folder whose whole name is UTF-8, in a locale such as C.UTF-8."
            words = f"the name of the folder {str(self.out)!r} is not UTF-8"
            raise MACHINE_REFUSED.error(words, next_step=step) from error


@dataclass(frozen=True)
class Made:
    """A device that is finished."""

    device_id: str
    certificate_id: str | None = None
    accounts: tuple[str, ...] = ()
    """Where it was registered, as ``ACCOUNT:REGION``."""
    seconds: float | None = None
    """How long the making took, if anybody wants to know."""


@dataclass(frozen=True)
class Failed:
    """A device that could not be made, and why."""

    error: str
    """The name of the error."""
    code: str
    message: str
    next_step: str
    exit_code: int
    is_left: bool = False
    """The device is finished all the same; what failed came after, and can be done again."""

    @classmethod
    def by(cls, error: FirstbootError, *, is_left: bool = False) -> "Failed":
        """Return what is to be known of ``error``, also in another process."""
        code = int(error.exit_code)
        return cls(error.name, error.code, str(error), error.next_step, code, is_left)


@dataclass(frozen=True)
class Admission:
    """What was decided for one device."""

    order: DeviceOrder
    """With the device id of an interrupted make that is resumed."""
    own: Entry | None = None
    """The entry of an interrupted make that is resumed, or of a device that is completed."""
    former: Sequence[Entry] = ()
    """The devices that have the serial number, and are to be retired."""


def decide(entries: Sequence[Entry], wanted: Wanted) -> Admission:
    """Return what may be made.

    Raises:
        SerialNumberUsedError: another device has the serial number.
    """
    order, folder = wanted.order, str(wanted.out.resolve())
    holding = holders(entries, order.serial_number)
    completes = wanted.completes and not wanted.again
    own = [each for each in holding if _is_own(each, folder, completes=completes)]
    others = [each for each in holding if each not in own]
    if others and not own and not wanted.again:
        raise used_by(others[-1])
    if own:
        device_id = order.device_id if order.is_id_given else own[-1].device_id
        return Admission(replace(order, device_id=device_id), own[-1], others)
    return Admission(order, former=others)


def _is_own(entry: Entry, folder: str, *, completes: bool) -> bool:
    is_open = entry.result is Result.BEGUN or completes
    return entry.folder == folder and is_open


def used_by(entry: Entry) -> FirstbootError:
    """Return the error that the device of ``entry`` has the serial number."""
    is_made = entry.result is Result.MADE
    finish = f"Finish that device: run the same command with --out {shlex.quote(entry.folder)}. "
    return SERIAL_NUMBER_USED.error(
        serial_number=entry.serial_number,
        device_id=entry.device_id,
        state="was made" if is_made else "was started, but not finished,",
        since=f"for {entry.method} at {entry.at:%Y-%m-%d %H:%M:%S} UTC",
        folder=entry.folder,
        next_step=("" if is_made else finish) + SERIAL_NUMBER_USED.next_step,
    )


class Admitted(AbstractContextManager["Admitted"]):
    """One device while it is made: entered as begun, and left as made, begun or failed."""

    def __init__(
        self, ledger: Ledger, admission: Admission, entry: Entry, *, can_fail: bool
    ) -> None:
        """Use ``entry``, which is in the ledger as begun.

        ``can_fail``: an error leaves nothing of the device that AWS could know of.
        """
        self.order = admission.order
        self.former = admission.former
        self.is_resumed = admission.own is not None
        self._ledger = ledger
        self._entry = entry
        self._can_fail = can_fail and entry.result is Result.BEGUN

    @property
    def is_entered_as_made(self) -> bool:
        """Whether the ledger has the device as made already."""
        return self._entry.result is Result.MADE

    def made(self, device: Made) -> None:
        """Enter the device as made, durably: only then may anybody be told so.

        Raises:
            ReplacedMeanwhileError: another process has given the serial number away (--again).
            StorageError: the disk refused.
        """
        enter_made(self._ledger, [(self, device)])

    def lines(self, device: Made, entries: Sequence[Entry]) -> list[Entry]:
        """Return what is to be entered for ``device``; see ``made``."""
        held = [each.device_id for each in holders(entries, self.order.serial_number)]
        if self._entry.device_id not in held:
            raise REPLACED_MEANWHILE.error(
                serial_number=self.order.serial_number, folder=self._entry.folder
            )
        made = self._as(
            Result.MADE, device_id=device.device_id, certificate_id=device.certificate_id,
            accounts=device.accounts, seconds=device.seconds,
        )  # fmt: skip
        if device.device_id == self._entry.device_id:
            return [made]
        return [self._as(Result.FAILED, note="the folder held another device"), made]

    def failed_lines(self, failed: Failed, entries: Sequence[Entry]) -> list[Entry]:
        """Return what is to be entered for a device that could not be made.

        Nothing, where AWS may know of it: its serial number stays taken, and a second run
        completes it.
        """
        held = [each.device_id for each in holders(entries, self.order.serial_number)]
        if failed.is_left or not self._can_fail or self._entry.device_id not in held:
            return []
        return [self._as(Result.FAILED, note=failed.message, error=failed.error)]

    def keep(self) -> None:
        """Keep the serial number whatever happens: the device is there, if not registered."""
        self._can_fail = False

    def retired(self, former: Entry, note: str) -> None:
        """Enter that ``former`` has lost the serial number.

        Raises:
            StorageError: the disk refused.
        """
        with self._ledger.locked():
            self._ledger.append(_step(former, Result.RETIRED, self._ledger, note=note))

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the serial number back if the device failed and nothing is left of it."""
        if isinstance(error, FirstbootError):
            view = _view(self._ledger, [self.order])
            with self._ledger.locked():
                view.refresh()
                entries = view.of_serial_number(self.order.serial_number)
                if lines := self.failed_lines(Failed.by(error), entries):
                    self._ledger.append(*lines)

    def _as(self, result: Result, **changes: object) -> Entry:
        return _step(self._entry, result, self._ledger, **changes)


def admit(
    ledger: Ledger, wanted: Sequence[Wanted], method: str, batch: str | None = None
) -> list[Admitted]:
    """Enter devices as begun, all or none, unless a serial number is another's.

    Raises:
        SerialNumberUsedError: one is.
        DeviceIdError: a device id is another's.
        LedgerError, StorageError: the ledger cannot be read or written.
    """
    view = _view(ledger, [each.order for each in wanted])
    with ledger.locked():
        view.refresh()
        decided = [_decided(view, each) for each in wanted]
        lines, admitted = [], []
        for each, admission in zip(wanted, decided, strict=True):
            begun = _begun(ledger, each, admission, method, batch)
            lines += begun
            admitted += [
                Admitted(ledger, admission, entry, can_fail=each.can_fail)
                for entry in [*filter(None, [admission.own]), *begun][-1:]
            ]
        if lines:
            ledger.append(*lines)
    return admitted


def preview(ledger: Ledger, wanted: Sequence[Wanted]) -> list[Admission]:
    """Return what `admit` would decide; nothing is written, not even a lock.

    Raises:
        SerialNumberUsedError, DeviceIdError, LedgerError: as for `admit`.
    """
    view = _view(ledger, [each.order for each in wanted])
    view.refresh()
    return [_decided(view, each) for each in wanted]


def enter_made(ledger: Ledger, devices: Sequence[tuple[Admitted, Made]]) -> None:
    """Enter several devices as made, by one write; see ``Admitted.made``."""
    view = _view(ledger, [each.order for each, _ in devices])
    with ledger.locked():
        view.refresh()
        enter_made_in(ledger, view, devices)


def enter_made_in(
    ledger: Ledger, view: LedgerView, devices: Sequence[tuple[Admitted, Made]]
) -> None:
    """Enter devices as made, looking into a ``view`` that was refreshed under the lock held."""
    lines = [
        line
        for each, device in devices
        for line in each.lines(device, view.of_serial_number(each.order.serial_number))
    ]
    if lines:
        ledger.append(*lines)


def _view(ledger: Ledger, orders: Sequence[DeviceOrder]) -> LedgerView:
    return ledger.view({each.serial_number for each in orders}, {each.device_id for each in orders})


def _decided(view: LedgerView, wanted: Wanted) -> Admission:
    order = wanted.order
    _check_device_id(view.of_device_id(order.device_id), wanted)
    return decide(view.of_serial_number(order.serial_number), wanted)


def _begun(
    ledger: Ledger, wanted: Wanted, admission: Admission, method: str, batch: str | None
) -> list[Entry]:
    own, order = admission.own, admission.order
    if own is not None and own.device_id == order.device_id:
        return []
    entry = Entry(
        serial_number=order.serial_number, device_id=order.device_id, at=ledger.now(),
        method=method, batch=batch, result=Result.BEGUN, folder=str(wanted.out.resolve()),
    )  # fmt: skip
    if own is None:
        return [entry]
    return [_step(own, Result.FAILED, ledger, note="started again, with another device id"), entry]


def _check_device_id(entries: Sequence[Entry], wanted: Wanted) -> None:
    order, folder = wanted.order, str(wanted.out.resolve())
    for each in entries:
        is_same = (each.serial_number, each.folder) == (order.serial_number, folder)
        if each.device_id == order.device_id and not is_same:
            raise DEVICE_ID.error(
                f"device id {order.device_id} is that of the device in {each.folder}"
            )


def _step(entry: Entry, result: Result, ledger: Ledger, **changes: object) -> Entry:
    return msgspec.structs.replace(entry, result=result, at=ledger.now(), **changes)
