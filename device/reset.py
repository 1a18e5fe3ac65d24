"""A reset: the device forgets how far provisioning came, or who it was."""

from typing import Final

from device.errors.provisioning import RESET_REFUSED
from device.runtime import journal
from device.runtime.journal import Identity
from device.storage.device_storage import DeviceStorage
from device.storage.secure_storage import Uid

_OF_AN_IDENTITY: Final = {
    Uid.IDENTITY,
    Uid.DEVICE_CERTIFICATE,
    Uid.DEVICE_CONFIGURATION,
    Uid.TO_RETIRE,
}


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
        raise RESET_REFUSED.error(thing_name=identity.thing_name)
    if identity is None and progress is None:
        return False
    with storage.transaction():
        if progress is not None:  # of a first boot, or, beside an identity, of a renewal
            journal.forget_progress(storage, progress)
        if identity is not None:
            _forget_identity(storage, identity)
    return True


def _forget_identity(storage: DeviceStorage, identity: Identity) -> None:
    storage.keys.destroy_key(identity.key)
    for certificate_id in (*journal.load_to_retire(storage.ps), identity.certificate_id):
        journal.note_given_up(storage.ps, certificate_id)
    for uid in _OF_AN_IDENTITY & set(storage.ps.uids()):
        storage.ps.remove(uid)
