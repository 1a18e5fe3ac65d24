"""Boots devices on a real tmpfs that is full but for some pages; run it in a namespace of its own.

unshare --user --map-root-user --mount python -m tests.support.full_tmpfs FOLDER
"""

import subprocess
import sys
from pathlib import Path
from typing import Final

from device.storage.filesystem import OsFs
from tests.support.errors import exit_code_of
from tests.support.worlds import MemoryWorld, boot, boot_home

PAGES: Final = 64
PAGE_BYTES: Final = 4096
SERIAL: Final = "SN-1"


def main(folder: Path) -> None:
    """Leave 0, 1, 2 ... pages free at a first boot; print how it ended, and after there is room."""
    for free in range(20):
        place = folder / str(free)
        place.mkdir()
        options = f"size={PAGES * PAGE_BYTES}"
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "none", str(place)],
            check=True,
            timeout=60,
        )
        world = MemoryWorld()
        world.mount = OsFs
        state = world.make_device(place / "device", SERIAL)
        fill(place / "filler", free)
        first = exit_code_of(boot, world, state)
        (place / "filler").unlink()
        identity = boot_home(world, state)
        is_one = world.registry(SERIAL).active_certificates == [identity.certificate_id]
        print(free, first.name, "one" if is_one else "not one")  # noqa: T201 - a command


def fill(path: Path, free: int) -> None:
    """Take all pages but ``free``."""
    pages = 0
    try:
        with path.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(PAGE_BYTES))
                pages += 1
    except OSError:
        with path.open("r+b") as file:
            file.truncate(max(0, pages - free) * PAGE_BYTES)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
