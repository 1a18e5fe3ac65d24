"""What a device says of itself to its shadow, in diagnostics and in its metrics."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from device import __version__
from device.lifecycle.journal import Identity
from device.runtime.clock import Clock
from device.storage.device_storage import DeviceStorage

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_MEMORY: Final = Path("/proc/self/statm")
_DAY: Final = 86_400.0


def boot_id(reboots: str) -> str:
    """Return what changes at each start of the ``machine``, as Linux says, or the ``firmware``."""
    if reboots == "machine":
        return _BOOT_ID.read_text(encoding="ascii").strip()
    return str(uuid4())


def description(storage: DeviceStorage, identity: Identity, clock: Clock) -> dict[str, Any]:
    """Return what a device reports to its shadow; nothing in it is secret."""
    until = datetime.fromtimestamp(identity.not_after, UTC)
    root = storage.root_of_trust
    return {
        "agent": {"name": "firstboot", "version": __version__},
        "method": identity.method,
        "key": {
            "store": identity.key_uri.partition(":")[0],
            "type": identity.key_type,
            "made_by": identity.key_made_by,
        },
        "certificate": {
            "id": identity.certificate_id,
            "age_days": int(certificate_age(identity, clock) // _DAY),
            "expires": until.isoformat().replace("+00:00", "Z"),
        },
        "storage": {
            "root_of_trust": root.kind,
            "protects_against": list(root.strength.protects_against),
            "no_protection_against": list(root.strength.no_protection_against),
        },
    }


def certificate_age(identity: Identity, clock: Clock) -> float:
    """Return the seconds since the certificate began to be valid, by this device's clock."""
    return max(0.0, clock.wall() - identity.not_before)


def diagnostics(storage: DeviceStorage, folder: Path | None) -> Mapping[str, str]:
    """Return how the device does: short texts, nothing secret."""
    found = {"version": __version__, "storage_generation": str(storage.generation)}
    if folder is not None:
        found["disk_free_bytes"] = str(_free_bytes(folder))
    try:
        found["load"] = f"{os.getloadavg()[0]:.2f}"
        pages = int(_MEMORY.read_text(encoding="ascii").split()[1])
        found["memory_bytes"] = str(pages * os.sysconf("SC_PAGE_SIZE"))
    except (OSError, ValueError):  # not Linux
        pass
    return found


def _free_bytes(folder: Path) -> int:
    """Return how much may be written; `shutil` would load compressors, half a MiB, for this."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize
