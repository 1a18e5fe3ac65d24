"""A device's flash: what was not synced may be lost with the power, whole or in part."""

from pathlib import Path
from typing import Final

from device.errors.storage import INSUFFICIENT_STORAGE, STORAGE_FAILURE
from device.storage.filesystem import Folder
from tests.support.power import PowerCutError
from tests.world.chance import Chance


class _File:
    """An inode."""

    __slots__ = ("data", "durable")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.durable: bytes | None = None


_Change = tuple[str, _File | None]
"""A name, and what it stands for since; None for nothing."""


class Flash:
    """Folders of one device. The model is that of `tests.support.crash_states`, drawn by chance."""

    def __init__(self, chance: Chance, who: str) -> None:
        """Begin empty and healthy."""
        self._chance: Final = chance
        self._who: Final = who
        self._folders: Final[dict[Path, _Folder]] = {}
        self.is_full = False
        self.is_failing = False
        self.is_new = True
        """At the station: nothing goes wrong there."""

    def mount(self, folder: Path) -> Folder:
        """Return the folder behind ``folder``."""
        return self._folders.setdefault(folder, _Folder(self))

    def lose_power(self) -> None:
        """Keep what is durable, and of the rest what chance leaves."""
        for folder in self._folders.values():
            folder.lose_power(self._chance, self._who)

    def about_to(self, *, takes_room: bool) -> None:
        """Let chance have its way before a call."""
        if self.is_new:
            return
        if self._chance.strikes("power cut at a call on the disk", self._who):
            raise PowerCutError
        if self.is_failing or self._chance.strikes("EIO", self._who):
            raise STORAGE_FAILURE.error("simulated: input/output error")
        if takes_room and (self.is_full or self._chance.strikes("ENOSPC", self._who)):
            raise INSUFFICIENT_STORAGE.error("simulated: no space left")

    def written(self, data: bytes) -> bytes:
        """Return what a write really writes."""
        if not self.is_new and self._chance.strikes("lying write", self._who):
            return data[: len(data) // 2]
        return data

    def cut_inside(self) -> None:
        """Let the power fail in the middle of a write."""
        if not self.is_new and self._chance.strikes("power cut inside a write", self._who):
            raise PowerCutError


class _Folder:
    """A `Folder`; `device.storage.filesystem` says what is promised."""

    def __init__(self, flash: Flash) -> None:
        self._flash = flash
        self._names: dict[str, _File] = {}
        self._durable: dict[str, _File] = {}
        self._changes: list[_Change] = []

    def read(self, name: str) -> bytes | None:
        file = self._names.get(name)
        return None if file is None else file.data

    def names(self) -> list[str]:
        return list(self._names)

    def create(self, name: str, data: bytes, mode: int = 0o600) -> None:
        self._flash.about_to(takes_room=True)
        assert name not in self._names, name
        self._point(name, _File(self._flash.written(data)))
        self._flash.cut_inside()

    def overwrite(self, name: str, data: bytes) -> None:
        self._flash.about_to(takes_room=True)
        self._names[name].data = self._flash.written(data)
        self._flash.cut_inside()

    def fsync(self, name: str) -> None:
        self._flash.about_to(takes_room=False)
        self._names[name].durable = self._names[name].data

    def rename(self, source: str, target: str) -> None:
        self._flash.about_to(takes_room=False)
        file = self._names[source]
        self._point(target, file)
        self._point(source, None)

    def unlink(self, name: str) -> None:
        self._flash.about_to(takes_room=False)
        if name in self._names:
            self._point(name, None)

    def fsync_folder(self) -> None:
        self._flash.about_to(takes_room=False)
        self._durable = dict(self._names)
        self._changes.clear()

    def _point(self, name: str, file: _File | None) -> None:
        self._changes.append((name, file))
        _apply(self._names, name, file)

    def lose_power(self, chance: Chance, who: str) -> None:
        for name, file in self._changes:
            if chance.number("name survives", who) < 0.5:
                _apply(self._durable, name, file)
        self._changes.clear()
        for name, file in list(self._durable.items()):
            if file.durable != file.data:
                drawn = chance.number("data survives", who)
                self._durable[name] = _File(_fate(file.durable or b"", file.data, drawn))
            self._durable[name].durable = self._durable[name].data
        self._names = dict(self._durable)


def _apply(names: dict[str, _File], name: str, file: _File | None) -> None:
    if file is None:
        names.pop(name, None)
    else:
        names[name] = file


def _fate(before: bytes, data: bytes, drawn: float) -> bytes:
    half = len(data) // 2
    tail = before[half:], bytes(half) + data[half:]
    fates = (data, before, data[:half] + tail[0], tail[1], bytes(len(data)))
    return fates[int(drawn * len(fates))]
