"""Commits of the sealed store, against six raw writes with fsync of the same files."""

import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from device.storage.device_storage import create_device_storage
from device.storage.filesystem import sync_folder
from device.storage.secure_storage import Uid
from scripts.benchmarks.comparison import Figures, Quantity, Row, alternate, compare
from scripts.benchmarks.workbench import CHECKOUT

_COMMITS: Final = 200
_ENTRY: Final = 1200  # bytes, as a certificate has
_QUANTITIES: Final = (Quantity("wall", "time a commit", "ms", aim=1.25),)


def commits(rounds: int) -> Mapping[str, list[Row]]:
    """Measure commits that change one entry, and as much written bare, with six syncs."""
    place = CHECKOUT / ".firstboot"  # on a disk, and not in memory as /tmp may be
    place.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-commits-", dir=place) as name:
        folder = Path(name)
        ours, raw = alternate(
            [lambda n: _ours(folder / f"ours-{n}"), lambda n: _raw(folder / f"raw-{n}")], rounds
        )
    return {"commits, against six fsyncs": compare(_QUANTITIES, ours, raw)}


def _ours(folder: Path) -> Figures:
    folder.mkdir(mode=0o700)
    with create_device_storage(folder) as storage:
        begun = time.perf_counter()
        for number in range(_COMMITS):
            with storage.transaction():
                storage.ps.set(Uid.DEVICE_CERTIFICATE, number.to_bytes(_ENTRY, "big"))
        return {"wall": (time.perf_counter() - begun) / _COMMITS * 1000}


def _raw(folder: Path) -> Figures:
    """Write an image, the anchor and the image again, each synced with its name."""
    folder.mkdir(mode=0o700)
    image, anchor = os.urandom(_ENTRY + 300), os.urandom(100)
    begun = time.perf_counter()
    for _ in range(_COMMITS):
        for name, data in (("image.a", image), ("anchor", anchor), ("image.b", image)):
            temporary = folder / f"{name}.new"
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            os.write(descriptor, data)
            os.fsync(descriptor)
            os.close(descriptor)
            temporary.replace(folder / name)
            sync_folder(folder)
    return {"wall": (time.perf_counter() - begun) / _COMMITS * 1000}
