"""A power supply that fails on cue: before or after any order to the network or the disk."""

from collections.abc import Callable

from device.connection.session import Session
from device.provisioning.actions import Action
from device.provisioning.events import Event
from device.storage.filesystem import Fs


class PowerCutError(BaseException):
    """The plug was pulled. Not an Exception: no handler may swallow it."""


class PowerSupply:
    """Counts moments; raises at the one that was chosen."""

    def __init__(self, cut_at: int | None = None) -> None:
        self.moments = 0
        self._cut_at = cut_at

    def tick(self) -> None:
        """Let a moment pass."""
        self.moments += 1
        if self.moments == self._cut_at:
            raise PowerCutError

    def session(self, session: Session) -> Session:
        """Return ``session`` on this supply."""
        return _PoweredSession(session, self)

    def mount(self, disk: Fs) -> Fs:
        """Return ``disk`` on this supply."""
        return _PoweredFs(disk, self)


class _PoweredSession:
    def __init__(self, session: Session, supply: PowerSupply) -> None:
        self._session = session
        self._supply = supply

    def perform(self, action: Action) -> None:
        self._supply.tick()
        self._session.perform(action)
        self._supply.tick()

    def next_event(self, timeout: float | None) -> Event | None:
        event = self._session.next_event(timeout)
        self._supply.tick()
        return event

    def close(self) -> None:
        self._session.close()

    def trust(self, root_ca_pem: bytes) -> None:
        self._session.trust(root_ca_pem)

    def request_stop(self) -> None:
        self._session.request_stop()


class _PoweredFs:
    def __init__(self, disk: Fs, supply: PowerSupply) -> None:
        self._disk = disk
        self._supply = supply

    def read(self, name: str) -> bytes | None:
        return self._disk.read(name)

    def create(self, name: str, data: bytes, mode: int = 0o600) -> None:
        self._around(lambda: self._disk.create(name, data, mode))

    def overwrite(self, name: str, data: bytes) -> None:
        self._around(lambda: self._disk.overwrite(name, data))

    def fsync(self, name: str) -> None:
        self._around(lambda: self._disk.fsync(name))

    def rename(self, source: str, target: str) -> None:
        self._around(lambda: self._disk.rename(source, target))

    def unlink(self, name: str) -> None:
        self._around(lambda: self._disk.unlink(name))

    def fsync_folder(self) -> None:
        self._around(self._disk.fsync_folder)

    def _around(self, call: Callable[[], None]) -> None:
        self._supply.tick()
        call()
        self._supply.tick()
