"""Whether a device is to renew its certificate now: from its storage, without network or lock."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from device.errors.renewal import NOT_PROVISIONED
from device.lifecycle import journal
from device.operation.renewal import Due
from device.operation.renewal_due import RenewalPolicy
from device.runtime.clock import SystemClock
from device.runtime.renewal_schedule import RenewalSchedule
from device.storage.device_storage import DeviceStorage, open_device_storage
from device.storage.manufacturing_data import sealed_settings


class RenewalStatus(Struct, frozen=True, kw_only=True):
    """The answer of ``device needs-renewal``."""

    due: bool
    reason: str
    certificate_id: str
    due_at: str
    """When it is to be renewed, in UTC."""
    expires: str


def read_renewal_status(
    state: Path, config: Path | None, environment: Mapping[str, str]
) -> RenewalStatus:
    """Return the answer for the device in ``state``.

    Raises:
        NotProvisionedError: the device has no identity yet.
        ConfigurationError: a setting cannot be used.
        StorageError: the storage is missing, corrupt, rolled back or another device's.
    """
    with open_device_storage(state, read_only=True) as storage:
        policy = _policy(config, environment, storage)
        identity = journal.load_identity(storage.ps)
        if identity is None:
            raise NOT_PROVISIONED.error()
        schedule = RenewalSchedule(storage, SystemClock(), policy)
        found, due_at = schedule.look(), schedule.due_at(identity)
    return RenewalStatus(
        due=isinstance(found, Due),
        reason=found.reason if isinstance(found, Due) else "it is not old enough",
        certificate_id=identity.certificate_id,
        due_at=_text(due_at),
        expires=_text(identity.not_after),
    )


def _policy(
    config: Path | None, environment: Mapping[str, str], storage: DeviceStorage
) -> RenewalPolicy:
    from device.config import settings  # noqa: PLC0415 - loads yaml

    chosen, sealed = settings.Renewal(), sealed_settings(storage)
    if config is not None or sealed is not None:  # a device of an earlier version has neither
        chosen = settings.load_with_sources(config, environment, {}, sealed).settings.renewal
    return RenewalPolicy(chosen.at_fraction, chosen.max_age_days, chosen.jitter)


def _text(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
