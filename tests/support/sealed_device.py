"""A device as the station hands it over, for tests that start from there."""

from pathlib import Path

from device.storage.device_storage import create_device_storage
from device.storage.filesystem import Mount, OsFs
from device.storage.lifecycle import Lifecycle
from device.storage.secure_storage import StorageFlag, Uid


def make_device(state: Path, mount: Mount = OsFs) -> Path:
    """Fill ``state`` with a SECURED device whose serial number is final; return ``state``."""
    with create_device_storage(state, mount=mount) as storage:
        storage.advance(Lifecycle.PSA_ROT_PROVISIONING)
        storage.its.set(Uid.SERIAL_NUMBER, b"SN-1", StorageFlag.WRITE_ONCE)
        storage.advance(Lifecycle.SECURED)
    return state
