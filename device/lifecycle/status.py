"""What a device is now, read from its storage without network or lock."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import asdict

from device.config.data_endpoint import account_prefix_of, region_of
from device.errors.storage import DoesNotExistError
from device.lifecycle import journal
from device.lifecycle.journal import Identity, Keyed, Progress, Registered, Staged
from device.storage.device_storage import DeviceStorage, open_device_storage
from device.storage.element import key_records
from device.storage.keys import KeyLocation
from device.storage.lifecycle import Lifecycle
from device.storage.manufacturing_data import (
    SealedSettings,
    device_id,
    sealed_settings,
    serial_number,
)
from device.storage.secure_storage import Uid

if TYPE_CHECKING:
    from device.config.endpoint import Endpoint

STATES: Final = {
    Keyed: "key made, certificate not yet issued",
    Staged: "certificate staged, thing not known to be registered",
    Registered: "thing registered, identity not yet proven",
    type(None): "waiting for its first boot",
}
WITHOUT_AN_IDENTITY: Final = {
    Lifecycle.DECOMMISSIONED: "decommissioned: every key is destroyed",
}
"""What a device is whose lifecycle is not SECURED; one that is not named here is being made."""

RENEWAL_STATES: Final = {
    Keyed: "new key made, new certificate not yet issued",
    Staged: "new certificate staged, not known to be registered",
    Registered: "new certificate registered, not yet proven",
}


class Status(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer of ``device status``; what does not apply is left out."""

    state: str
    lifecycle: str
    root_of_trust: str
    protects_against: list[str]
    no_protection_against: list[str]
    root_of_trust_note: str
    storage_flags: list[str]
    """PSA's, such as NO_REPLAY_PROTECTION where a whole old state can be put back."""
    endpoint: str | None = None
    """Where the device connects: what the settings say, else what the station installed."""
    region: str | UnsetType = UNSET
    account_prefix: str | UnsetType = UNSET
    """What stands for the account in the endpoint's name; a device is told no account number."""
    storage_generation: int | UnsetType = UNSET
    serial: str | UnsetType = UNSET
    device_id: str | UnsetType = UNSET
    thing_name: str | UnsetType = UNSET
    certificate_id: str | UnsetType = UNSET
    certificate_expires: str | UnsetType = UNSET
    method: str | UnsetType = UNSET
    key: str | UnsetType = UNSET
    key_type: str | UnsetType = UNSET
    key_made_by: str | UnsetType = UNSET
    key_location: str | UnsetType = UNSET
    key_proofs: list[str] | UnsetType = UNSET
    """What the secure element vouched for when it made the key."""
    claim_installed: bool | UnsetType = UNSET
    renewal: str | UnsetType = UNSET
    """How far a renewal has come that is not finished; the identity is still the current one."""
    certificates_to_retire: list[str] | UnsetType = UNSET
    """Certificates of this thing that the cloud has not retired yet."""
    certificates_given_up: list[str] | UnsetType = UNSET
    """Certificates that this device gave up or forgot; the cloud may still have them."""
    device_configuration: dict[str, str] | UnsetType | None = UNSET


ChooseEndpoint: TypeAlias = "Callable[[SealedSettings | None], Endpoint | None]"
"""What the user chose, over the sealed settings; None where that is nothing."""


def read_status(state: Path, choose: ChooseEndpoint = lambda _: None) -> Status:
    """Return the status of the device in ``state``.

    Raises:
        StorageError: the storage is missing, corrupt, rolled back or another device's.
    """
    with open_device_storage(state, read_only=True) as storage:
        return _status_of(storage, choose)


def _status_of(storage: DeviceStorage, choose: ChooseEndpoint) -> Status:
    root, lifecycle = storage.root_of_trust, storage.lifecycle
    base = Status(
        state=WITHOUT_AN_IDENTITY.get(lifecycle, "not finished by the station"),
        lifecycle=lifecycle.name,
        root_of_trust=root.kind,
        protects_against=list(root.strength.protects_against),
        no_protection_against=list(root.strength.no_protection_against),
        root_of_trust_note=root.strength.note,
        storage_flags=[flag.name or "" for flag in root.protection],
    )
    if lifecycle is not Lifecycle.SECURED:
        return base
    sealed = sealed_settings(storage)
    facts = asdict(base) | _manufacture(storage) | _where(storage, choose(sealed))
    if sealed is not None:
        facts["method"] = sealed.method
    progress, identity = journal.load(storage.ps), journal.load_identity(storage.ps)
    facts["state"] = "provisioned" if identity else _state_at(progress, storage)
    if identity:
        facts |= _who(identity) | {"device_configuration": journal.load_configuration(storage.ps)}
        facts |= _element(storage, identity.key)
    elif progress:
        facts |= {"key": progress.key} | _element(storage, progress.key)
    if isinstance(progress, Staged | Registered) and not identity:
        facts["certificate_id"] = progress.certificate_id
    if identity and progress:
        facts["renewal"] = RENEWAL_STATES[type(progress)]
    if to_retire := journal.load_to_retire(storage.ps):
        facts["certificates_to_retire"] = list(to_retire)
    if given_up := journal.load_given_up(storage.ps):
        facts["certificates_given_up"] = list(given_up)
    return Status(**facts)


def _state_at(progress: Progress | None, storage: DeviceStorage) -> str:
    credentials = {Uid.CLAIM_CERTIFICATE, Uid.INSTALLED_CERTIFICATE}
    if progress is not None or not credentials.isdisjoint(storage.ps.uids()):
        return STATES[type(progress)]
    from device.errors.provisioning import NO_CREDENTIAL  # noqa: PLC0415 - rarely the state

    return NO_CREDENTIAL.sentence


def _where(storage: DeviceStorage, chosen: "Endpoint | None") -> dict[str, Any]:
    """Where the device connects, as far as its name says it."""
    try:
        text = str(chosen or storage.ps.get(Uid.ENDPOINT).decode(errors="backslashreplace"))
    except DoesNotExistError:
        return {}
    host = text.rpartition(":")[0] or text
    named = {"region": region_of(host), "account_prefix": account_prefix_of(host)}
    return {"endpoint": text} | {name: value for name, value in named.items() if value}


def _manufacture(storage: DeviceStorage) -> dict[str, Any]:
    """What the station put in."""
    return {
        "storage_generation": storage.generation,
        "serial": serial_number(storage),
        "device_id": device_id(storage),
        "claim_installed": _holds(storage, Uid.CLAIM_CERTIFICATE),
    }


def _who(identity: Identity) -> dict[str, Any]:
    expires = datetime.fromtimestamp(identity.not_after, UTC)
    return {
        "thing_name": identity.thing_name,
        "certificate_id": identity.certificate_id,
        "certificate_expires": expires.isoformat().replace("+00:00", "Z"),
        "method": identity.method,
        "key": identity.key_uri,
        "key_type": identity.key_type,
        "key_made_by": identity.key_made_by,
    }


def _element(storage: DeviceStorage, key: str) -> dict[str, Any]:
    """What is known of a key in a secure element, without asking the element."""
    records = key_records.load(storage.ps)
    if records is None or key not in records.active():
        return {}
    record = records.active()[key]
    return {
        "key": record.uri,
        "key_type": record.key_type,
        "key_location": KeyLocation.PRIMARY_SECURE_ELEMENT.name,
        "key_proofs": list(record.proofs),
    }


def _holds(storage: DeviceStorage, uid: Uid) -> bool:
    try:
        storage.ps.get_info(uid)
    except DoesNotExistError:
        return False
    return True
