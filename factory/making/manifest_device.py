"""What a manifest says of the devices of a batch, read from the devices themselves."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from cryptography import x509

from device.errors.element import ElementError
from device.errors.storage import StorageError
from device.identity.certificates import certificate_id, leaf_of
from device.identity.pem import parse_chain
from device.storage import installed_certificate
from device.storage.device_storage import DeviceStorage, open_device_storage
from device.storage.secure_storage import Uid
from factory.errors import MANIFEST_DEVICE
from factory.station.ledger import Entry
from factory.station.manifest import ManifestDevice


def manifest_devices(entries: Iterable[Entry]) -> Iterator[ManifestDevice]:
    """Yield what a manifest says of each device; one that has no certificate yet has no key.

    Raises:
        ManifestDeviceError: a device is gone, or holds another certificate than the station
            gave it.
    """
    for entry in entries:
        chain = _chain(entry) if entry.certificate_id else ()
        yield ManifestDevice(entry.serial_number, entry.method, entry.at, chain)


def _chain(entry: Entry) -> tuple[x509.Certificate, ...]:
    try:
        with open_device_storage(Path(entry.folder), read_only=True) as storage:
            pem = _chain_pem(storage)
    except (StorageError, ElementError) as error:
        raise MANIFEST_DEVICE.error(
            str(error), serial_number=entry.serial_number, folder=entry.folder
        ) from error
    if pem is None or certificate_id(leaf_of(pem)) != entry.certificate_id:
        problem = "it does not hold the certificate that the station gave it"
        raise MANIFEST_DEVICE.error(problem, serial_number=entry.serial_number, folder=entry.folder)
    return parse_chain(pem)


def _chain_pem(storage: DeviceStorage) -> bytes | None:
    installed = installed_certificate.load(storage.ps)
    if installed is not None:
        return installed.chain_pem
    has_one = Uid.DEVICE_CERTIFICATE in storage.ps.uids()
    return storage.ps.get(Uid.DEVICE_CERTIFICATE) if has_one else None
