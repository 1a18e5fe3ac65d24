"""Factory reset: forget how far provisioning came, or who the device was."""

from device.errors.provisioning import ResetRefusedError
from device.runtime import journal
from device.runtime.journal import Keyed, Registered, Staged
from device.storage.device_storage import DeviceStorage
from device.storage.secure_storage import Uid


def reset(storage: DeviceStorage, *, forget_identity: bool) -> bool:
    """Return the device to where the station left it, in one commit; whether anything changed.

    Serial number, device id and fuses stay, and the id of a certificate that is forgotten: the
    cloud may still have it ACTIVE. A proven device holds no claim any more: when it
    forgets its identity, only the station can make it provision itself again.

    Raises:
        ResetRefusedError: there is a proven identity, and ``forget_identity`` was not said.
    """
    identity = journal.load_identity(storage.ps)
    if identity is not None and not forget_identity:
        raise ResetRefusedError(identity.thing_name)
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
