"""What the station wrote into a device for good."""

from device.errors.storage import DoesNotExistError, NotADeviceError
from device.storage.device_storage import DeviceStorage
from device.storage.secure_storage import Uid


def serial_number(storage: DeviceStorage) -> str:
    """Return the serial number of the device in ``storage``.

    Raises:
        NotADeviceError: it has none, as the storage of a station, which is built alike.
    """
    try:
        return storage.its.get(Uid.SERIAL_NUMBER).decode()
    except DoesNotExistError:
        raise NotADeviceError("this storage has no serial number: it is no device's") from None


def device_id(storage: DeviceStorage) -> str:
    """Return the id that tells this device from every other, whatever its serial number."""
    return storage.its.get(Uid.DEVICE_ID).decode()
