"""Whether a device is to renew its certificate now: from its storage, without network or lock."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from device.config.settings import Loaded, Renewal
from device.errors.renewal import NOT_PROVISIONED
from device.lifecycle import journal
from device.operation.renewal import Due
from device.runtime.clock import SystemClock
from device.runtime.renewal_schedule import RenewalSchedule
from device.storage.device_storage import DeviceStorage, open_device_storage


class RenewalStatus(Struct, frozen=True, kw_only=True):
    """The answer of ``device needs-renewal``."""

    due: bool
    reason: str
    certificate_id: str
    due_at: str
    """When it is to be renewed, in UTC."""
    expires: str


def read_renewal_status(
    state: Path, settings_of: Callable[[DeviceStorage], Loaded | None]
) -> RenewalStatus:
    """Return the answer for the device in ``state``.

    ``settings_of`` returns None for a device of an earlier version, which has no settings.

    Raises:
        NotProvisionedError: the device has no identity yet.
        ConfigurationError: a setting cannot be used.
        StorageError: the storage is missing, corrupt, rolled back or another device's.
    """
    with open_device_storage(state, read_only=True) as storage:
        loaded = settings_of(storage)
        identity = journal.load_identity(storage.ps)
        if identity is None:
            raise NOT_PROVISIONED.error()
        chosen = Renewal() if loaded is None else loaded.settings.renewal
        schedule = RenewalSchedule(storage, SystemClock(), chosen)
        found, due_at = schedule.look(), schedule.due_at(identity)
    return RenewalStatus(
        due=isinstance(found, Due),
        reason=found.reason if isinstance(found, Due) else "the certificate is not old enough",
        certificate_id=identity.certificate_id,
        due_at=_text(due_at),
        expires=_text(identity.not_after),
    )


def _text(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
