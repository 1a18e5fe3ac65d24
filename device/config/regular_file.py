"""Reading the settings, or a file that they name, without waiting and without end."""

import os
import stat
from pathlib import Path
from typing import Final

from device.errors import ConfigurationError

MAX_BYTES: Final = 1 << 20
"""More than any bundle of CAs has (Mozilla's has 220 KB)."""


def read_regular_file(
    path: Path, key: str = "", *, max_bytes: int = MAX_BYTES, next_step: str = ""
) -> bytes:
    """Return the content of ``path``, which the setting ``key`` names.

    A FIFO or a device is refused at once: the first would block, the second may have no end.

    Raises:
        ConfigurationError: it is missing, unreadable, no regular file, or too long.
    """
    try:
        content = _content(path, max_bytes)
    except FileNotFoundError:
        raise ConfigurationError(str(path), key, "no such file", next_step) from None
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        words = getattr(error, "strerror", None) or str(error)
        raise ConfigurationError(str(path), key, f"cannot be read: {words}", next_step) from None
    if content is None:
        raise ConfigurationError(str(path), key, "is not a regular file", next_step)
    if len(content) > max_bytes:
        raise ConfigurationError(str(path), key, f"is longer than {max_bytes} bytes", next_step)
    return content


def _content(path: Path, max_bytes: int) -> bytes | None:
    if path.is_dir():
        return None
    with open(path, "rb", opener=_open_without_waiting) as file:
        return file.read(max_bytes + 1) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else None


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)
