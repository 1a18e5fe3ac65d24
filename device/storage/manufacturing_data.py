"""What the station wrote into a device for good."""

from contextlib import suppress
from datetime import datetime
from typing import Any, Final

from msgspec import Struct, field, msgpack

from device.errors.storage import NOT_A_DEVICE
from device.storage.decoding import decoded, stored
from device.storage.device_storage import DeviceStorage
from device.storage.secure_storage import Uid


def serial_number(storage: DeviceStorage) -> str:
    """Return the serial number of the device in ``storage``.

    Raises:
        DataCorruptError: it cannot be read.
        NotADeviceError: it has none, as the storage of a station, which is built alike.
    """
    serial = stored(storage.its, Uid.SERIAL_NUMBER, bytes.decode, "the serial number")
    if serial is None:
        raise NOT_A_DEVICE.error("this folder does not hold a device (no serial number is stored)")
    return serial


def device_id(storage: DeviceStorage) -> str:
    """Return the id that tells this device from every other, whatever its serial number."""
    return decoded(storage.its.get(Uid.DEVICE_ID), bytes.decode, "the device id")


def made_at(storage: DeviceStorage) -> float | None:
    """Return when the station made the device, in seconds since the epoch; None if it did not say.

    That moment has passed for certain, whatever this device's clock says.
    """
    said = storage.its.find(Uid.MADE_AT)
    if said is None:
        return None
    with suppress(ValueError):
        return datetime.fromisoformat(said.decode()).timestamp()
    return None


class SealedSettings(Struct, frozen=True):
    """The method and the settings that the station made the device with."""

    method: str
    sections: dict[str, Any] = field(default_factory=dict)
    """The settings' text by section, as a settings file has it; without the method."""

    def __repr__(self) -> str:
        """Leave the sections out: the proxy's password is in them."""
        return f"SealedSettings({self.method!r})"


_DECODER: Final = msgpack.Decoder(SealedSettings)


def sealed_settings(storage: DeviceStorage) -> SealedSettings | None:
    """Return what the station sealed, or None where it did not: then a file must be given.

    Raises:
        DataCorruptError: the entry is authentic, but of a form this firmware cannot read.
    """
    return stored(storage.ps, Uid.SETTINGS, _DECODER.decode, "the sealed settings")


def seal(storage: DeviceStorage, settings: SealedSettings) -> None:
    """Store ``settings``."""
    storage.ps.set(Uid.SETTINGS, msgpack.encode(settings))
