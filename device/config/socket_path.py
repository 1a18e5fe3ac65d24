"""Sockets in folders of any depth: Linux takes paths of 107 bytes only, macOS of 103."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_LONGEST: Final = 100
"""Bytes that every system takes."""


@contextmanager
def socket_path(place: Path) -> Iterator[str]:
    """Yield what ``bind`` and ``connect`` take for ``place``; a long one leads through its folder.

    Raises:
        OSError: there is no such folder, or this system has no ``/proc`` and the path is too long.
    """
    if len(os.fsencode(place)) <= _LONGEST:
        yield os.fspath(place)
        return
    if sys.platform != "linux":
        raise OSError(0, f"its path is longer than {_LONGEST} bytes, which this system cannot use")
    folder = os.open(place.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{place.name}"
    finally:
        os.close(folder)
