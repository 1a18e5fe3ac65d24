"""A reset: the device forgets how far provisioning came, or who it was."""

from device.errors.provisioning import RESET_REFUSED
from device.runtime import journal
from device.runtime.journal import Keyed, Registered, Staged
from device.storage.device_storage import DeviceStorage
from device.storage.secure_storage import Uid


def reset(storage: DeviceStorage, *, forget_identity: bool) -> bool:
    """Undo provisioning in one commit; return whether anything changed.

    Serial number, device id and fuses stay. So does the id of a forgotten certificate, because it
    may still be ACTIVE in the cloud. A proven device no longer holds its claim: once it has
    forgotten its identity, only the station can let it provision itself again.

    Raises:
        ResetRefusedError: there is a proven identity, and ``forget_identity`` is false.
    """
    identity = journal.load_identity(storage.ps)
    if identity is not None and not forget_identity:
        raise RESET_REFUSED.error(thing_name=identity.thing_name)
    if identity is not None:
        with storage.transaction():
            storage.keys.destroy_key(identity.key)
            journal.note_given_up(storage.ps, identity.certificate_id)
            for uid in (Uid.IDENTITY, Uid.DEVICE_CERTIFICATE, Uid.DEVICE_CONFIGURATION):
                storage.ps.remove(uid)
        return True
    match journal.load(storage.ps):
        case None:
            return False
        case Keyed(key=key):
            with storage.transaction():
                storage.keys.destroy_key(key)
                storage.ps.remove(Uid.PROVISIONING_JOURNAL)
        case (
            Staged(key=key, certificate_id=identifier)
            | Registered(key=key, certificate_id=identifier)
        ):
            with storage.transaction():
                journal.note_given_up(storage.ps, identifier)
                storage.keys.destroy_key(key)
                storage.ps.remove(Uid.STAGED_CERTIFICATE)
                storage.ps.remove(Uid.PROVISIONING_JOURNAL)
    return True
