"""Does what tasks order beside the connection: keep a note, change a setting, restart."""

import logging
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Final

import msgspec

from device.errors import StoppedError
from device.errors.storage import StorageError
from device.operation.deeds import (
    CollectDiagnostics,
    Configure,
    Done,
    FactoryReset,
    Identify,
    Keep,
    Kept,
    Renew,
    Restart,
)
from device.operation.task import Deed, Reconfigured
from device.provisioning.events import Event
from device.runtime.loop import Observer
from device.storage.decoding import stored
from device.storage.device_storage import DeviceStorage
from device.storage.secure_storage import SecureStorage, Uid

_log = logging.getLogger(__name__)

_PLACES: Final = {
    Kept.SETTINGS: Uid.CHANGED_SETTINGS,
    Kept.JOB: Uid.JOB,
    Kept.COMMAND: Uid.COMMAND,
}
_SETTINGS: Final = msgspec.json.Decoder(dict[str, float])


Doer = Callable[[Deed], Event | None]
"""Does what a deed says; returns the fact that comes of it."""


class Ending(Enum):
    """How the operation of a device ended."""

    STOPPED = "stopped"
    RESTART = "to start anew"
    RESET = "to be reset, and start anew"

    @property
    def starts_anew(self) -> bool:
        """Whether the device is to be started again."""
        return self is not Ending.STOPPED


def kept(storage: SecureStorage, what: Kept) -> bytes | None:
    """Return what a task had kept, if anything."""
    place = _PLACES[what]
    return storage.get(place) if place in storage.uids() else None


def changed_settings(storage: SecureStorage) -> dict[str, float]:
    """Return the settings that were changed from afar.

    Raises:
        DataCorruptError: the entry is authentic, but of a form this firmware cannot read.
    """
    found = stored(storage, Uid.CHANGED_SETTINGS, _SETTINGS.decode, "the changed settings")
    return {} if found is None else found


class Deeds:
    """Carries orders out, each at once; what ends the operation is told by ``ending``."""

    def __init__(
        self,
        storage: DeviceStorage,
        observer: Observer,
        diagnose: Callable[[], Mapping[str, str]],
        others: Mapping[type[Deed], "Doer"] | None = None,
    ) -> None:
        """Keep notes in ``storage``; ``others`` do what this page does not know."""
        self.ending = Ending.STOPPED
        self._storage: Final = storage
        self._observer: Final = observer
        self._diagnose: Final = diagnose
        self._others: Final = dict(others or {})
        self._not_kept = ""
        """Why the last note was not kept; empty where it was."""

    def carry_out(self, deed: Deed) -> Event | None:
        """Do what ``deed`` says; return what came of it.

        Raises:
            StoppedError: the device is to start anew; ``ending`` says how.
        """
        match deed:
            case Keep(what, payload):
                self._keep(what, payload)
            case Configure(ticket, settings):
                return self._configure(ticket, settings)
            case CollectDiagnostics(ticket):
                return Done(ticket, self._diagnose())
            case Identify(ticket):
                self._observer.add("identify", "someone wants to see which device this is")
                return Done(ticket, {"shown": "in the log"})
            case Restart(ticket):
                return self._end(Ending.RESTART, ticket)
            case FactoryReset(ticket):
                return self._end(Ending.RESET, ticket)
            case _:
                return self._do_other(deed)
        return None

    def _do_other(self, deed: Deed) -> Event | None:
        if do := self._others.get(type(deed)):
            return do(deed)
        if isinstance(deed, Renew):
            return Done(deed.ticket, problem="this device cannot renew its certificate")
        raise TypeError(f"nobody carries out {type(deed).__name__}")

    def _keep(self, what: Kept, payload: bytes) -> None:
        try:
            self._write(_PLACES[what], payload)
        except StorageError as error:
            self._not_kept = str(error)
            _log.warning("%s is not kept: %s", what, error)
        else:
            self._not_kept = ""

    def _write(self, place: Uid, payload: bytes) -> None:
        if payload:
            self._storage.ps.set(place, payload)
        elif place in self._storage.ps.uids():
            self._storage.ps.remove(place)

    def _configure(self, ticket: str, settings: Mapping[str, float]) -> Event:
        held = {**changed_settings(self._storage.ps), **settings}
        try:
            self._storage.ps.set(Uid.CHANGED_SETTINGS, msgspec.json.encode(held))
        except StorageError as error:
            return Done(ticket, problem=f"cannot be kept: {error}")
        return Reconfigured(settings)

    def _end(self, ending: Ending, ticket: str) -> Event:
        if self._not_kept:
            return Done(ticket, problem=f"what is needed after it cannot be kept: {self._not_kept}")
        self.ending = ending
        raise StoppedError(f"the device is {ending.value}")
