"""One device from order to registry: admitted, made, and made known where its method wants that."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from device.errors import FirstbootError
from device.errors.storage import StorageError
from device.identity.certificates import certificate_id
from device.storage.device_storage import DeviceStorage, open_device_storage
from device.storage.lifecycle import Lifecycle
from device.storage.secure_storage import Uid
from factory.account.changes import Report
from factory.account.cloud import Account, Cloud
from factory.errors import DEVICE_ID
from factory.making.admission import Admitted, Made, Wanted, admit
from factory.making.device_leaf import certificate_of
from factory.making.device_settings import thing_name
from factory.making.new_device import DeviceOrder, make_device, make_or_find_device
from factory.making.new_folder import NewFolders
from factory.making.retirement import retire
from factory.methods import METHODS
from factory.methods.method import Method
from factory.station.ledger import Ledger
from factory.station.station import Station


@dataclass(frozen=True)
class Product:
    """A finished device, as it was ordered; and what each account was told of it."""

    order: DeviceOrder
    is_new: bool
    certificate_id: str | None = None
    registered: Sequence[tuple[Account, Report]] = ()
    retired: Sequence[str] = ()
    """What became of the device that this one replaces, and what is to be done about it."""

    def entry(self) -> Made:
        """Return what the ledger keeps of it."""
        accounts = tuple(account.words for account, _ in self.registered)
        return Made(self.order.device_id, self.certificate_id, accounts)


Make = Callable[[DeviceOrder, Path], Product]
Start = Callable[[DeviceOrder, Path, NewFolders], None]
"""Makes a device that is not durable before the `NewFolders` settle."""


def produce(method: str, wanted: Wanted, station: Station, clouds: Sequence[Cloud]) -> Product:
    """Make the device, and register it in each of ``clouds`` if the method does.

    A device that must be registered is made once: another run takes it as it is and completes
    the registration, or adds an account.

    Raises:
        SerialNumberUsedError: another device has the serial number.
        StorageExistsError: a finished device is there, and there is nothing to complete.
        StationError, StorageError: the cloud or the disk refused.
    """
    served = METHODS[method]
    wanted = replace(wanted, completes=served.is_registering, can_fail=not served.is_made_online)
    make = maker(method, station, clouds)
    return produce_by(make, method, wanted, station.folder, clouds)


def maker(method: str, station: Station, clouds: Sequence[Cloud]) -> Make:
    """Return what makes one device by ``method``, and registers it if the method does."""
    served = METHODS[method]

    def make(order: DeviceOrder, out: Path) -> Product:
        if served.is_made_online:
            served.make(clouds[0], station.folder, order, out)
            return as_made(order, out)
        return _install(served, order, out, station, clouds)

    return make


def starter(method: str, station: Station, clouds: Sequence[Cloud]) -> Start:
    """Return what makes one device by ``method``, which must not need AWS for that."""
    served = METHODS[method]

    def start(order: DeviceOrder, out: Path, folders: NewFolders) -> None:
        make_device(order, out, _installer(served, order, station, clouds), folders.put)

    return start


def produce_by(
    make: Make, method: str, wanted: Wanted, station: Path, clouds: Sequence[Cloud]
) -> Product:
    """Have the device made by ``make``, and enter it in the ledger in the folder ``station``.

    Raises:
        SerialNumberUsedError: another device has the serial number.
        StationError, StorageError: the cloud or the disk refused.
    """
    (admitted,) = admit(Ledger(station), [wanted], method)
    with admitted:
        notes = retire_former(admitted, wanted.out, clouds)
        is_open = admitted.is_resumed and not wanted.completes
        product = finished(admitted.order, wanted.out) if is_open else None
        product = product or _made(make, admitted, wanted.out)
        admitted.made(product.entry())
    return replace(product, retired=notes)


def _made(make: Make, admitted: Admitted, out: Path) -> Product:
    """Have the device made; one that is finished, and not registered, keeps its serial number."""
    try:
        return make(admitted.order, out)
    except FirstbootError:
        if finished(admitted.order, out) is not None:
            admitted.keep()
        raise


def retire_former(admitted: Admitted, out: Path, clouds: Sequence[Cloud]) -> list[str]:
    """Retire the devices that had the serial number; return what is to be known of each.

    The folder of a former device is set aside where the new one needs it, and never written to.
    """
    notes: list[str] = []
    for former in admitted.former:
        said = retire(former, thing_name(admitted.order), clouds)
        if former.folder == str(out.resolve()) and out.exists():
            aside = out.resolve().with_name(f"{out.resolve().name}.{former.device_id[:8]}")
            out.resolve().rename(aside)
            said.append(f"its folder is {aside} now")
        admitted.retired(former, "; ".join(said))
        notes += [f"former device {former.device_id[:8]}...: {words}" for words in said]
    return notes


def finished(order: DeviceOrder, out: Path) -> Product | None:
    """Return the device of ``order`` in ``out`` if it was finished by a run that was cut."""
    try:
        with open_device_storage(out, read_only=True) as storage:
            if storage.lifecycle is not Lifecycle.SECURED:
                return None
        product = as_made(order, out)
    except StorageError:  # whoever makes it says what is wrong
        return None
    return product if product.order.serial_number == order.serial_number else None


def _install(
    method: Method, order: DeviceOrder, out: Path, station: Station, clouds: Sequence[Cloud]
) -> Product:
    install = _installer(method, order, station, clouds)
    if not (method.is_registering and order.is_allowed):
        make_device(order, out, install)
        return as_made(order, out)
    is_new = make_or_find_device(order, out, install)
    if not is_new:
        _check_same(order, as_made(order, out).order, out)
    with open_device_storage(out, read_only=True) as storage:
        known = _as_stored(order, storage)
        reports = [(cloud.account, method.register(cloud, storage, known)) for cloud in clouds]
        return Product(known, is_new, _certificate_id(storage), reports)


def _installer(
    method: Method, order: DeviceOrder, station: Station, clouds: Sequence[Cloud]
) -> Callable[[DeviceStorage], None]:
    def install(storage: DeviceStorage) -> None:
        method.install(clouds[0], station, storage, order)

    return install


def _check_same(order: DeviceOrder, found: DeviceOrder, out: Path) -> None:
    """Refuse to use a finished device that is not the one ordered."""
    if order.is_id_given and order.device_id != found.device_id:
        raise DEVICE_ID.error(f"the finished device in {out} has the device id {found.device_id}")


def as_made(order: DeviceOrder, out: Path) -> Product:
    """Return the finished device in ``out``, which was made by ``order``."""
    with open_device_storage(out, read_only=True) as storage:
        known = _as_stored(order, storage)
        return Product(known, is_new=True, certificate_id=_certificate_id(storage))


def _as_stored(order: DeviceOrder, storage: DeviceStorage) -> DeviceOrder:
    return replace(
        order,
        serial_number=storage.its.get(Uid.SERIAL_NUMBER).decode(),
        device_id=storage.its.get(Uid.DEVICE_ID).decode(),
        endpoint=storage.ps.get(Uid.ENDPOINT).decode(),
    )


def _certificate_id(storage: DeviceStorage) -> str | None:
    """Return the id of the certificate that the station gave the device, if it gave one."""
    leaf = certificate_of(storage)
    return None if leaf is None else certificate_id(leaf)
