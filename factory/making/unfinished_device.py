"""A device in the making that waits for its certificate: identity and key of its own, durable.

Where AWS issues the certificate (bulk, single thing), the station must be able to stop between
the CSR and the answer. So the device keeps its key in the lifecycle PSA_ROT_PROVISIONING, is
taken up again by the next run, and is SECURED last, when the certificate has been checked.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from cryptography import x509

from device.errors.storage import (
    DoesNotExistError,
    LifecycleError,
    StorageExistsError,
    StorageMissingError,
)
from device.identity.certificates import Expectation, check_certificate
from device.identity.csr import build_csr
from device.storage import installed_certificate
from device.storage.device_storage import (
    DeviceStorage,
    resume_device_storage,
)
from device.storage.keys import FIRST_DEVICE_KEY, PublicKey
from device.storage.lifecycle import Lifecycle
from device.storage.secure_storage import Uid
from factory.errors import ELEMENT_CHOICE
from factory.making.device_element import check_same_element, open_element
from factory.making.device_settings import device_subject
from factory.making.new_device import DeviceOrder, begin_device, fill_storage
from factory.making.sealed_settings import seal_settings


@dataclass(frozen=True)
class UnfinishedDevice:
    """The device while it waits; see ``unfinished_device``."""

    serial_number: str
    subject: x509.Name
    made_at: datetime
    """When its key was made: no certificate for it is older."""
    is_new: bool
    """Whether this run started it, so that no certificate can have been requested yet."""
    storage: DeviceStorage

    @property
    def public_key(self) -> PublicKey:
        """The public half of the device's own key."""
        return self.storage.keys.export_public_key(FIRST_DEVICE_KEY)

    def csr(self) -> str:
        """Return a CSR (PEM), signed inside the device."""
        return build_csr(self.storage.keys.private_key(FIRST_DEVICE_KEY), self.subject)

    def finish(self, certificate_pem: bytes) -> str:
        """Install what AWS issued, close the lifecycle, and return the certificate's id.

        Raises:
            CertificateUnacceptableError: it is for another key or subject; nothing is stored.
            StorageError: the disk refused.
        """
        expected = Expectation(self.public_key, subject=self.subject)
        checked = check_certificate(certificate_pem, expected)
        installed_certificate.save(self.storage.ps, FIRST_DEVICE_KEY, checked.pem)
        self.storage.advance(Lifecycle.SECURED)
        return checked.certificate_id


@contextmanager
def unfinished_device(order: DeviceOrder, out: Path) -> Iterator[UnfinishedDevice]:
    """Take up the device of ``order`` in ``out`` where a run was stopped, or begin it.

    Endpoint and root CA are those of ``order``; device id, key and time stay those of the
    first run.

    Raises:
        ConfigurationError: ``order.config`` cannot be used.
        StorageExistsError: a finished device is there, or one with another serial number.
        StorageError: the disk refused.
        ElementChoiceError: an unfinished device is there, with its key in another place.
        ElementError: the secure element cannot be used.
    """
    device_subject(order)  # before anything is made
    resumed = _resumed(order, out)
    with resumed or _begun(order, out) as storage:
        order = _as_stored(order, storage)
        yield UnfinishedDevice(
            order.serial_number, device_subject(order), order.made_at, resumed is None, storage
        )


def _resumed(order: DeviceOrder, out: Path) -> DeviceStorage | None:
    try:
        storage = resume_device_storage(out)
    except (StorageMissingError, LifecycleError):
        return None
    try:
        if _can_go_on(storage, order, out):
            _correct(storage, order)
            open_element(storage)
            _check_key_type(storage, order, out)
            return storage
    except BaseException:
        storage.close()
        raise
    storage.close()
    return None


def _can_go_on(storage: DeviceStorage, order: DeviceOrder, out: Path) -> bool:
    """Tell whether the device was begun for a certificate from AWS; else it is begun again."""
    try:
        serial_number = storage.its.get(Uid.SERIAL_NUMBER).decode()
    except DoesNotExistError:
        return False
    if serial_number != order.serial_number:
        raise StorageExistsError(f"{out} holds {serial_number}, which is not finished yet")
    check_same_element(storage, order.element, out)
    return storage.keys.keys() == [FIRST_DEVICE_KEY]


def _check_key_type(storage: DeviceStorage, order: DeviceOrder, out: Path) -> None:
    begun_with = storage.keys.get_key_attributes(FIRST_DEVICE_KEY).key_type
    if begun_with is not order.key_type:
        raise ELEMENT_CHOICE.error(
            f"the device in {out} was begun with a key of type {begun_with}, not {order.key_type}",
            next_step="Run the command with the options of the first run, or remove that folder.",
        )


def _correct(storage: DeviceStorage, order: DeviceOrder) -> None:
    with storage.transaction():
        storage.ps.set(Uid.ENDPOINT, order.endpoint.encode())
        storage.ps.set(Uid.ROOT_CA, order.root_ca)
        if order.settings is not None:
            seal_settings(storage, order.settings)


def _begun(order: DeviceOrder, out: Path) -> DeviceStorage:
    storage = begin_device(order, out)
    try:
        with storage.transaction():
            fill_storage(storage, order)
            storage.keys.generate_key(FIRST_DEVICE_KEY, order.key_type)
            if order.settings is not None:
                seal_settings(storage, order.settings)
    except BaseException:
        storage.close()
        raise
    return storage


def _as_stored(order: DeviceOrder, storage: DeviceStorage) -> DeviceOrder:
    return replace(
        order,
        device_id=storage.its.get(Uid.DEVICE_ID).decode(),
        made_at=datetime.fromisoformat(storage.its.get(Uid.MADE_AT).decode()),
    )
