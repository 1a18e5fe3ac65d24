"""The two ways back: a reset, after which the device is as delivered, and the end of its life.

A proven device has destroyed its claim, so a reset keeps its certificate, whatever the method: it
waits for its proof again, as it did once, and the next boot makes the device the same thing. What
came since goes: settings from afar, configuration, outbox, the job at hand.

At the end of a life first its keys in a secure element go, then the root key, and with it all that
is sealed.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from device.config.methods import CLAIM_METHODS
from device.errors.storage import DECOMMISSIONED, LifecycleError
from device.lifecycle import journal
from device.lifecycle.journal import Identity, Progress, Registered
from device.storage import installed_certificate
from device.storage.device_storage import DeviceStorage, open_device_storage
from device.storage.element.installation import ElementPlan, attach_element
from device.storage.filesystem import Mount, OsFs
from device.storage.lifecycle import Lifecycle
from device.storage.secure_storage import Uid

_OF_OPERATION: Final = {Uid.CHANGED_SETTINGS, Uid.JOB, Uid.COMMAND, Uid.STAGED_ROOT_CA}
_OF_IDENTITY: Final = {Uid.IDENTITY, Uid.DEVICE_CERTIFICATE, Uid.DEVICE_CONFIGURATION}


def reset(storage: DeviceStorage, *, forget_identity: bool = False, keep_job: bool = False) -> bool:
    """Undo what happened since the station, in one commit; return whether anything changed.

    Serial number, device id and fuses stay. With ``forget_identity`` the key and the certificate
    are destroyed, and only the station can let the device provision itself again; the id of the
    certificate is kept, because it may still be ACTIVE in the cloud. With ``keep_job`` the job at
    hand stays, so that the device can tell how it ended.

    Raises:
        StorageError: the disk refused; nothing changed.
    """
    of_operation = _OF_OPERATION - ({Uid.JOB} if keep_job else set())
    identity = journal.load_identity(storage.ps)
    with storage.transaction(finishing=True):
        before = storage.ps.uids()
        _remove(storage, of_operation)
        if identity is not None:
            _stop_renewal(storage, forget_identity=forget_identity)
        if identity is not None and not forget_identity:
            _await_proof(storage, identity)
        elif identity is not None:
            _forget(storage, identity)
        else:
            _undo(storage, journal.load(storage.ps), forget_identity=forget_identity)
        return storage.ps.uids() != before


def clear_folder(state: Path, metrics_file: str | None = None) -> bool:
    """Remove what operation kept beside the storage; return whether there was anything.

    ``metrics_file`` is the setting ``metrics.file``, which may lead out of the folder.
    """
    places = [*(state / "outbox").glob("*/*"), state / (metrics_file or "metrics.prom")]
    found = [place for place in places if place.is_file()]
    for place in found:
        place.unlink(missing_ok=True)
    return bool(found)


def decommission(
    state: Path,
    find_element: Callable[[DeviceStorage], ElementPlan | None] | None = None,
    *,
    find_metrics_file: Callable[[DeviceStorage], str | None] = lambda _: None,
    mount: Mount = OsFs,
) -> bool:
    """End the life of the device in ``state``; return whether it was still alive.

    ``find_element`` says which secure element it has; without it, nobody asks the element.
    ``find_metrics_file`` reads the setting ``metrics.file``. If the power is cut, call it again:
    it goes on where it was.

    Raises:
        ElementError: the element cannot be used; the device is as it was.
        StorageError: the storage is missing or busy, or the disk refused.
    """
    try:
        with open_device_storage(state, mount=mount) as storage:
            metrics_file = find_metrics_file(storage)
            if find_element is not None:
                if (plan := find_element(storage)) is not None:
                    attach_element(storage, plan)
                storage.keys.erase()
            clear_folder(state, metrics_file)  # after a cut nobody can read where the file is
            storage.advance(Lifecycle.DECOMMISSIONED)
    except LifecycleError as error:
        if error.row is not DECOMMISSIONED:
            raise
        with open_device_storage(state, read_only=True, mount=mount) as storage:
            storage.finish_decommissioning()
        clear_folder(state)
        return False
    return True


def _stop_renewal(storage: DeviceStorage, *, forget_identity: bool) -> None:
    """Forget a renewal that was begun; who stays the same has its certificate retired later."""
    progress = journal.load(storage.ps)
    note = journal.note_given_up if forget_identity else journal.note_to_retire
    if progress is not None:
        journal.forget_progress(storage, progress, note)
    if forget_identity:
        for certificate_id in journal.load_to_retire(storage.ps):
            journal.note_given_up(storage.ps, certificate_id)
        _remove(storage, {Uid.TO_RETIRE})


def _await_proof(storage: DeviceStorage, identity: Identity) -> None:
    """Let the certificate that is proven wait for its proof again."""
    chain_pem = storage.ps.get(Uid.DEVICE_CERTIFICATE)
    if identity.method in CLAIM_METHODS:
        configuration = journal.load_configuration(storage.ps)
        journal.save(
            storage.ps,
            Registered(identity.key, identity.certificate_id, identity.thing_name, configuration),
        )
        storage.ps.set(Uid.STAGED_CERTIFICATE, chain_pem)
    else:
        installed_certificate.save(storage.ps, identity.key, chain_pem)
    _remove(storage, _OF_IDENTITY)


def _forget(storage: DeviceStorage, identity: Identity) -> None:
    storage.keys.destroy_key(identity.key)
    journal.note_given_up(storage.ps, identity.certificate_id)
    _remove(storage, _OF_IDENTITY)


def _undo(storage: DeviceStorage, progress: Progress | None, *, forget_identity: bool) -> None:
    """Undo a boot that was begun; one that waits for its proof since a reset was not."""
    waits = isinstance(progress, Registered) and _is_reset(storage, progress)
    if progress is not None and (forget_identity or not waits):
        journal.forget_progress(storage, progress)


def _is_reset(storage: DeviceStorage, progress: Registered) -> bool:
    """Whether the certificate is all that the device has: its claim went when it was proven."""
    has_claim = Uid.CLAIM_CERTIFICATE in storage.ps.uids()
    return not (has_claim or progress.ownership_token or progress.csr_pem)


def _remove(storage: DeviceStorage, uids: set[Uid]) -> None:
    for uid in uids & set(storage.ps.uids()):
        storage.ps.remove(uid)
