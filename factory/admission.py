"""Whether a device may be made with its serial number, and what the ledger keeps of it.

A make that was interrupted is resumed in the same folder and is no second device. A second
device is made only on purpose (``--again``), and then the former one is retired.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from device.errors import FirstbootError
from factory.errors import DeviceIdError, ReplacedMeanwhileError, SerialNumberUsedError
from factory.ledger import Entry, Ledger, Result, holders
from factory.manufacture import DeviceOrder


@dataclass(frozen=True)
class Admission:
    """What was decided for one device."""

    order: DeviceOrder
    """With the device id of an interrupted make that is resumed."""
    own: Entry | None = None
    """The entry of an interrupted make that is resumed, or of a device that is completed."""
    former: Sequence[Entry] = ()
    """The devices that have the serial number, and are to be retired."""


def decide(
    entries: Sequence[Entry], order: DeviceOrder, folder: str, *, again: bool, completes: bool
) -> Admission:
    """Return what may be made of ``order`` in ``folder``.

    ``again``: replace the former device on purpose. ``completes``: a finished device in the same
    folder may be gone on with, since its registration is.

    Raises:
        SerialNumberUsedError: another device has the serial number.
    """
    holding = holders(entries, order.serial_number)
    own = [each for each in holding if _is_own(each, folder, completes=completes and not again)]
    others = [each for each in holding if each not in own]
    if others and not own and not again:
        raise _used(others[-1])
    if own:
        device_id = order.device_id if order.is_id_given else own[-1].device_id
        return Admission(replace(order, device_id=device_id), own[-1], others)
    return Admission(order, former=others)


def _is_own(entry: Entry, folder: str, *, completes: bool) -> bool:
    is_open = entry.result is Result.BEGUN or completes
    return entry.folder == folder and is_open


def _used(entry: Entry) -> SerialNumberUsedError:
    return SerialNumberUsedError(
        entry.serial_number, entry.device_id, entry.folder, f"{entry.at:%Y-%m-%d %H:%M:%S} UTC",
        is_made=entry.result is Result.MADE, method=entry.method,
    )  # fmt: skip


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
        self._can_fail = can_fail

    def made(
        self, device_id: str, certificate_id: str | None = None, accounts: tuple[str, ...] = ()
    ) -> None:
        """Enter the device as made, durably: only then may anybody be told so.

        Raises:
            ReplacedMeanwhileError: another process has given the serial number away (--again).
            StorageError: the disk refused.
        """
        with self._ledger.locked():
            held = holders(self._ledger.entries(), self.order.serial_number)
            if self._entry.device_id not in [each.device_id for each in held]:
                raise ReplacedMeanwhileError(self.order.serial_number, self._entry.folder)
            made = {"certificate_id": certificate_id, "accounts": accounts}
            lines = [self._as(Result.MADE, device_id=device_id, **made)]
            if device_id != self._entry.device_id:
                lines.insert(0, self._as(Result.FAILED, note="the folder held another device"))
            self._ledger.append(*lines)

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
        if self._can_fail and isinstance(error, FirstbootError):
            with self._ledger.locked():
                held = holders(self._ledger.entries(), self.order.serial_number)
                if any(each.device_id == self._entry.device_id for each in held):
                    self._ledger.append(self._as(Result.FAILED, note=str(error)))

    def _as(self, result: Result, **changes: object) -> Entry:
        return _step(self._entry, result, self._ledger, **changes)


def admit(
    ledger: Ledger, order: DeviceOrder, method: str, out: Path,
    *, batch: str | None = None, again: bool = False, completes: bool = False,
    can_fail: bool = False,
) -> Admitted:  # fmt: skip
    """Enter a device as begun, unless its serial number is another's.

    Raises:
        SerialNumberUsedError: it is.
        LedgerError, StorageError: the ledger cannot be read or written.
    """
    folder = str(out.resolve())
    with ledger.locked():
        entries = ledger.entries()
        _check_device_id(entries, order, folder)
        admission = decide(entries, order, folder, again=again, completes=completes)
        entry = admission.own
        if entry is None or entry.device_id != admission.order.device_id:
            other_id = [_step(entry, Result.FAILED, ledger, note="another device id")] if entry else []
            entry = Entry(
                serial_number=order.serial_number, device_id=admission.order.device_id,
                at=ledger.now(), method=method, batch=batch, result=Result.BEGUN, folder=folder,
            )  # fmt: skip
            ledger.append(*other_id, entry)
    fails = can_fail and entry.result is Result.BEGUN
    return Admitted(ledger, admission, entry, can_fail=fails)


def _check_device_id(entries: Sequence[Entry], order: DeviceOrder, folder: str) -> None:
    for each in entries:
        is_same = (each.serial_number, each.folder) == (order.serial_number, folder)
        if each.device_id == order.device_id and not is_same:
            raise DeviceIdError(f"device id {order.device_id} is that of the device in {each.folder}")


def _step(entry: Entry, result: Result, ledger: Ledger, **changes: object) -> Entry:
    return msgspec.structs.replace(entry, result=result, at=ledger.now(), **changes)
