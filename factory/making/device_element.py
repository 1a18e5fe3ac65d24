"""The secure element that a device is made with, as the station's command line names it.

Whatever the method: the element is noted in the device before a key is made in it. So a run
that was cut can be followed by another, which finds the key that was left over, and the device
needs no settings to find its element.
"""

from pathlib import Path
from typing import Final

from device.config.methods import METHODS, KeyMaker
from device.errors.storage import StorageError
from device.storage.device_storage import DeviceStorage, resume_device_storage
from device.storage.element.installation import (
    attach_element,
    element_at,
    install_element,
    installed_element,
    plan_of,
)
from device.storage.secure_storage import Uid
from factory.errors import ELEMENT_CHOICE
from factory.making.element_token import find_softhsm, make_softhsm_element, use_softhsm

SOFTHSM: Final = "softhsm"
"""Instead of a URI: a SoftHSM token of its own for each device, in its folder."""

_SERIAL: Final = "{serial}"


def check_element(choice: str, method: str, devices: int = 1) -> None:
    """Raise unless ``devices`` devices of ``method`` can be made with this choice.

    Raises:
        ElementChoiceError: nothing would be in the element, or too much.
        ElementError: the URI cannot be followed, or SoftHSM is not installed.
    """
    if not choice:
        return
    if METHODS[method].key_made_by is KeyMaker.AWS:
        raise ELEMENT_CHOICE.error(
            f"{method}: AWS makes the key and sends it, so it cannot be made in an element",
            next_step="Let the device make its key: --method claim",
        )
    if choice == SOFTHSM:
        find_softhsm()
        return
    element_at(_uri(choice, "SN"))
    if devices > 1 and _SERIAL not in choice:
        raise ELEMENT_CHOICE.error(
            f"{devices} devices would share one token, and all use the same key label",
            next_step=f"Name each device's token by its serial number: pkcs11:token={_SERIAL}?...",
        )


def check_store(choice: str, store: str | None, config: str) -> None:
    """Refuse settings that name an element for a key which the station would make elsewhere.

    Raises:
        ElementChoiceError: they do, and no element was chosen.
    """
    if not choice and store is not None and store.startswith("pkcs11:"):
        raise ELEMENT_CHOICE.error(
            f"key.store in {config} names a secure element, but the station makes this device's "
            "key",
            next_step=f"Make it there: --element {store}",
        )


def share_softhsm(choice: str, devices: Path) -> None:
    """Keep the SoftHSM tokens of a batch in one place: a process has one."""
    if choice == SOFTHSM:
        use_softhsm(devices / f".{SOFTHSM}")


def give_element(storage: DeviceStorage, choice: str, serial_number: str, out: Path) -> None:
    """Note the element in the device that is made in ``out``, and open it for its keys.

    Raises:
        ElementError: the element cannot be made, or used.
    """
    if not choice:
        return
    if choice == SOFTHSM:
        element = make_softhsm_element(out / "element", serial_number)
    else:
        element = element_at(_uri(choice, serial_number))
    install_element(storage, element)
    open_element(storage)


def open_element(storage: DeviceStorage) -> None:
    """Open the device's element for the station, if the device has one.

    Raises:
        ElementError: the element cannot be used.
    """
    element = installed_element(storage)
    if element is not None:
        attach_element(storage, plan_of(element))


def check_same_element(storage: DeviceStorage, choice: str, out: Path) -> None:
    """Raise unless the unfinished device has its key where this run would make it.

    Raises:
        ElementChoiceError: it is elsewhere.
    """
    begun_with = installed_element(storage)
    if bool(choice) != (begun_with is not None):
        raise ELEMENT_CHOICE.error(
            f"the device in {out} was begun {'with' if begun_with else 'without'} an element",
            next_step="Run the command with the options of the first run, or remove that folder.",
        )


def clear_element(choice: str, serial_number: str, out: Path) -> None:
    """Destroy in the element what an unfinished device in ``out`` left there; it is scrapped next.

    A PIN that was refused then is refused again here, and not by the element, which would lock.

    Raises:
        ElementError: the element cannot be used; nothing is lost.
    """
    try:
        storage = resume_device_storage(out)
    except StorageError:  # none, finished, or not to be opened again: making it says which
        return
    with storage:
        element = installed_element(storage)
        was_opened = Uid.ELEMENT_KEYS in storage.ps.uids()
        if element is None or not (was_opened or element.uri == _uri(choice, serial_number)):
            return
        open_element(storage)
        keys = storage.keys.keys()
        for key in keys:
            storage.keys.destroy_key(key)


def _uri(choice: str, serial_number: str) -> str:
    return choice.replace(_SERIAL, serial_number)
