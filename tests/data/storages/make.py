"""Make the storages of format 1 in this folder; runs with the firmware of 4167ec5 only.

See README.md beside it: the images are kept as that firmware wrote them.
"""

import shutil
from pathlib import Path

import msgspec

from device.storage.device_storage import DeviceStorage, open_device_storage
from device.storage.keys import KeyId, KeyType
from device.storage.secure_storage import Uid
from tests.support.devices import AUTHORITY, SERIAL, STEPS, advance_to, make_device

HERE = Path(__file__).parent / "format-1"


def older_journal(storage: DeviceStorage, *without: str, **with_too: float) -> None:
    """Put the journal into the form of the firmware before a580e25."""
    record = msgspec.msgpack.decode(storage.ps.get(Uid.PROVISIONING_JOURNAL))
    kept = {name: value for name, value in record.items() if name not in without}
    storage.ps.set(Uid.PROVISIONING_JOURNAL, msgspec.msgpack.encode(kept | with_too))


def install_leaf(storage: DeviceStorage) -> None:
    """Do what the station of 4167ec5 does for JITP, when it makes the device."""
    key = storage.keys.generate_key(KeyId("device-key.1"), KeyType.EC_P256)
    leaf = AUTHORITY.issue(storage.keys.export_public_key(key), {"common_name": SERIAL})
    storage.ps.set(Uid.STAGED_CERTIFICATE, leaf + AUTHORITY.certificate_pem)


def main() -> None:
    """Make every storage again."""
    shutil.rmtree(HERE, ignore_errors=True)
    for step in STEPS:
        with open_device_storage(make_device(HERE / step)) as storage:
            advance_to(storage, step)
    with open_device_storage(make_device(HERE / "staged-key-by-aws")) as storage:
        advance_to(storage, "staged", keys_made_by_aws=True)
    with open_device_storage(make_device(HERE / "staged-older-journal")) as storage:
        advance_to(storage, "staged")
        older_journal(storage, "evidence", issued_at=1_790_000_000.0)
    with open_device_storage(make_device(HERE / "registered-older-journal")) as storage:
        advance_to(storage, "registered")
        older_journal(storage, "csr_pem", "ownership_token", "proof", "evidence")
    with open_device_storage(make_device(HERE / "installed", claim=None)) as storage:
        install_leaf(storage)
    for lock in HERE.glob("*/storage/lock"):
        lock.unlink()


if __name__ == "__main__":
    main()
