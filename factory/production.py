"""One device from order to registry: made, and made known where its method wants that."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from device.storage.device_storage import DeviceStorage, open_device_storage
from device.storage.secure_storage import Uid
from factory.changes import Report
from factory.cloud import Account, Cloud
from factory.manufacture import DeviceOrder, make_device, make_or_find_device
from factory.methods import AnyMethod, MakingMethod, RegisteringMethod
from factory.station import Station


@dataclass(frozen=True)
class Product:
    """A finished device, as it was ordered; and what each account was told of it."""

    order: DeviceOrder
    is_new: bool
    registered: Sequence[tuple[Account, Report]] = ()


def produce(
    method: AnyMethod, order: DeviceOrder, out: Path, station: Station, clouds: Sequence[Cloud]
) -> Product:
    """Make the device in ``out``, and register it in each of ``clouds`` if the method does.

    A device that must be registered is made once: another run takes it as it is and completes
    the registration, or adds an account.

    Raises:
        StorageExistsError: a finished device is there, and there is nothing to complete.
        StationError, StorageError: the cloud or the disk refused.
    """
    if isinstance(method, MakingMethod):
        method.make(clouds[0], station.folder, order, out)
        return Product(_as_made(order, out), is_new=True)
    install_into = method.install

    def install(storage: DeviceStorage) -> None:
        install_into(clouds[0], station, storage, order)

    if not (isinstance(method, RegisteringMethod) and order.is_allowed):
        make_device(order, out, install)
        return Product(order, is_new=True)
    is_new = make_or_find_device(order, out, install)
    with open_device_storage(out, read_only=True) as storage:
        known = _as_stored(order, storage)
        reports = [(cloud.account, method.register(cloud, storage, known)) for cloud in clouds]
    return Product(known, is_new, reports)


def _as_made(order: DeviceOrder, out: Path) -> DeviceOrder:
    with open_device_storage(out, read_only=True) as storage:
        return _as_stored(order, storage)


def _as_stored(order: DeviceOrder, storage: DeviceStorage) -> DeviceOrder:
    return replace(
        order,
        device_id=storage.its.get(Uid.DEVICE_ID).decode(),
        endpoint=storage.ps.get(Uid.ENDPOINT).decode(),
    )
