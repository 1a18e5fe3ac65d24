"""Rebooting the machine that the firmware runs on."""

import logging
import subprocess
from typing import Final

_log = logging.getLogger(__name__)

_REBOOT: Final = ("/usr/bin/systemctl", "reboot")
_SECONDS: Final = 60.0


def reboot_machine() -> None:
    """Ask systemd to reboot. Where it does not, that is logged: the boot id stays, and tells."""
    try:
        subprocess.run(  # noqa: S603 - a constant
            _REBOOT, check=True, timeout=_SECONDS, capture_output=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        _log.warning("the machine does not reboot: %s", error)
