"""The browser in which a hostile page is shown to the local AWS: Chromium, without a window."""

import shutil
from typing import Final

from scripts import _debian

PROGRAM: Final = "chromium"


def provide() -> bool:
    """Install it if it is missing (half a minute); return whether it is there."""
    if not shutil.which(PROGRAM):
        _debian.install((PROGRAM,), "browser")
    return shutil.which(PROGRAM) is not None
