"""``device reset``: forget how far provisioning came, or who the device was."""

import argparse
from typing import Final

from device.console import Console
from device.errors.provisioning import ResetRefusedError
from device.runtime import journal
from device.storage.device_storage import DeviceStorage, open_device_storage
from device.storage.secure_storage import Uid
from device.verbs._options import state_of

SUMMARY: Final = "Return the device to the state in which the station delivered it."
_OF_AN_IDENTITY: Final = {
    Uid.IDENTITY,
    Uid.DEVICE_CERTIFICATE,
    Uid.DEVICE_CONFIGURATION,
    Uid.TO_RETIRE,
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``device reset``."""
    parser.add_argument(
        "--forget-identity",
        action="store_true",
        help="delete a proven identity too; afterwards only the station can provision the device",
    )


def run(options: argparse.Namespace, console: Console) -> None:
    """Reset the device, and say whether anything changed.

    Raises:
        ResetRefusedError: there is a proven identity, and ``--forget-identity`` is not given.
        StorageError: the storage is missing, busy, corrupt or rolled back.
    """
    with open_device_storage(state_of(options)) as storage:
        changed = reset(storage, forget_identity=options.forget_identity)
    console.say("reset: the next boot is a first boot" if changed else "reset: nothing to undo")
    console.show({"reset": changed})


def reset(storage: DeviceStorage, *, forget_identity: bool) -> bool:
    """Undo provisioning in one commit; return whether anything changed.

    Serial number, device id and fuses stay. So does the id of a forgotten certificate, because it
    may still be ACTIVE in the cloud. A proven device no longer holds its claim: once it has
    forgotten its identity, only the station can let it provision itself again.

    Raises:
        ResetRefusedError: there is a proven identity, and ``forget_identity`` is false.
    """
    identity, progress = journal.load_identity(storage.ps), journal.load(storage.ps)
    if identity is not None and not forget_identity:
        raise ResetRefusedError(identity.thing_name)
    if identity is None and progress is None:
        return False
    with storage.transaction():
        if progress is not None:  # of a first boot, or, beside an identity, of a renewal
            journal.forget_progress(storage, progress)
        if identity is not None:
            storage.keys.destroy_key(identity.key)
            journal.note_given_up(storage.ps, identity.certificate_id)
            for certificate_id in journal.load_to_retire(storage.ps):
                journal.note_given_up(storage.ps, certificate_id)
            for uid in _OF_AN_IDENTITY & set(storage.ps.uids()):
                storage.ps.remove(uid)
    return True
