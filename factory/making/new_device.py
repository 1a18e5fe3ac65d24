"""Make a device: burn its fuses, fill its storage, close its lifecycle.

Nothing boots before the last step: a device refuses any lifecycle but SECURED, and a run
that was stopped before leaves what the next run starts again.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import Final

from device.config.settings import Loaded
from device.errors.storage import StorageExistsError
from device.storage.device_storage import (
    DeviceStorage,
    create_device_storage,
    open_device_storage,
)
from device.storage.keys import KeyType
from device.storage.lifecycle import Lifecycle
from device.storage.roots.root_plan import FILE, RootPlan
from device.storage.secure_storage import StorageFlag, Uid
from factory.errors import DEVICE_ID
from factory.making.device_element import clear_element, give_element
from factory.making.new_folder import Put, device_in_new_folder
from factory.making.sealed_settings import seal_settings
from factory.station.serial_number import check_serial_number

_DEVICE_ID: Final = re.compile(r"[0-9a-f]{32}")


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def new_device_id() -> str:
    """Return 16 random bytes in hex."""
    return token_hex(16)


@dataclass(frozen=True)
class DeviceOrder:
    """What is to be true of a device, whatever its provisioning method.

    ``device_id`` is 16 bytes in hex, ``endpoint`` is ``host:port``, ``root_ca`` PEM, ``config``
    the device's settings, from which a method takes the subject of the device's certificate;
    ``made_at`` is when its making began.
    """

    serial_number: str
    device_id: str
    endpoint: str
    root_ca: bytes
    config: Path = Path()
    made_at: datetime = field(default_factory=_now)
    is_allowed: bool = True
    """Whether the cloud is to be told of the device, where its method wants that."""
    root_of_trust: RootPlan = FILE
    element: str = ""
    """Where its keys are made (``factory.making.device_element``); empty: in software, sealed."""
    key_type: KeyType = KeyType.EC_P256
    """Of a key that is made with the device."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables (``DEVICE_*``) that override ``config``."""
    claim: str = ""
    """By claim: the name of the claim that it gets; empty: the newest one."""
    settings: Loaded | None = field(default=None, repr=False)
    """What is sealed into the device: ``config`` with ``environment``; None to seal nothing."""
    is_id_given: bool = False
    """Whether someone chose ``device_id``, so that no other may take its place."""

    def __post_init__(self) -> None:
        """Refuse what no device may have.

        Raises:
            SerialNumberError: see ``check_serial_number``.
            DeviceIdError: the id is not 32 lower-case hexadecimal digits.
        """
        check_serial_number(self.serial_number)
        if not _DEVICE_ID.fullmatch(self.device_id):
            raise DEVICE_ID.error(f"{self.device_id!r} is not a device id")


def make_device(
    order: DeviceOrder,
    out: Path,
    install: Callable[[DeviceStorage], None],
    put: Put | None = None,
) -> None:
    """Make the device in ``out``; ``install`` puts its method's credentials in.

    ``put`` of `NewFolders` lets a new folder become durable later, together with others.

    Raises:
        StorageExistsError: a finished device is there already.
        StorageError: the disk refused, or the root of trust cannot be used.
        ElementError: the secure element cannot be used.
        ConfigurationError: the device could not boot with its settings.
    """
    with _started(order, out, put) as storage:
        with storage.transaction():
            fill_storage(storage, order)
            install(storage)
            if order.settings is not None:
                seal_settings(storage, order.settings)
        storage.advance(Lifecycle.SECURED)


@contextmanager
def _started(order: DeviceOrder, out: Path, put: Put | None) -> Iterator[DeviceStorage]:
    """Lend a device in PSA_ROT_PROVISIONING; where nothing is yet, it comes there whole."""
    is_plain = order.root_of_trust == FILE and not order.element
    if not is_plain or out.exists() or out.is_symlink():
        with begin_device(order, out) as storage:
            yield storage
        return
    with device_in_new_folder(out, put) as storage:
        storage.advance(Lifecycle.PSA_ROT_PROVISIONING)
        yield storage


def begin_device(order: DeviceOrder, out: Path) -> DeviceStorage:
    """Return the storage of a new device in PSA_ROT_PROVISIONING, its element open.

    Raises:
        StorageExistsError, StorageError, ElementError: as for ``make_device``.
    """
    clear_element(order.element, order.serial_number, out)
    try:
        storage = create_device_storage(out, root_of_trust=order.root_of_trust)
    except StorageExistsError as error:
        raise StorageExistsError(f"{out} already holds a finished device") from error
    try:
        storage.advance(Lifecycle.PSA_ROT_PROVISIONING)
        give_element(storage, order.element, order.serial_number, out)
    except BaseException:
        storage.close()
        raise
    return storage


def make_or_find_device(
    order: DeviceOrder, out: Path, install: Callable[[DeviceStorage], None]
) -> bool:
    """Make the device, unless it is finished already; tell whether it was made.

    Raises:
        StorageExistsError: a finished device with another serial number is there.
        StorageError: the disk refused.
    """
    try:
        make_device(order, out, install)
    except StorageExistsError:
        with open_device_storage(out, read_only=True) as storage:
            if storage.its.get(Uid.SERIAL_NUMBER) != order.serial_number.encode():
                raise
        return False
    return True


def fill_storage(storage: DeviceStorage, order: DeviceOrder) -> None:
    """Store what every device holds, whatever its method: who it is, and where it connects."""
    storage.its.set(Uid.DEVICE_ID, order.device_id.encode(), StorageFlag.WRITE_ONCE)
    storage.its.set(Uid.SERIAL_NUMBER, order.serial_number.encode(), StorageFlag.WRITE_ONCE)
    storage.its.set(Uid.MADE_AT, order.made_at.isoformat().encode(), StorageFlag.WRITE_ONCE)
    storage.ps.set(Uid.ROOT_CA, order.root_ca)
    storage.ps.set(Uid.ENDPOINT, order.endpoint.encode())
