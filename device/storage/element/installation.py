"""Which secure element a device has, and using it.

The station says so once, in protected storage; the settings may say otherwise. A module finds
its tokens by its environment, so that is part of what the station notes.
"""

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from device.errors.element import Pkcs11UriError
from device.storage.decoding import stored
from device.storage.device_storage import DeviceStorage
from device.storage.element.pin import PinSource, RefusedPins, pin_from_file
from device.storage.element.pkcs11_uri import Pkcs11Uri, parse
from device.storage.secure_storage import Uid

if TYPE_CHECKING:
    from device.storage.element.secure_element import SecureElement

MODULE_VARIABLES: Final = (
    "P11_KIT_SERVER_ADDRESS",
    "SOFTHSM2_CONF",
    "TPM2_PKCS11_STORE",
    "TPM2_PKCS11_TCTI",
)
"""By these, modules find their tokens when they are initialised."""


class InstalledElement(Struct, frozen=True):
    """The element that the station gave a device."""

    uri: str
    """RFC 7512, with module-path, and with pin-source where the token has a PIN."""
    environment: dict[str, str] = {}


_ELEMENT: Final = msgspec.msgpack.Decoder(InstalledElement)


class ElementPlan(Struct, frozen=True):
    """How to use an element."""

    uri: Pkcs11Uri
    pin: PinSource | None
    tls13: bool = False
    environment: Mapping[str, str] = {}

    def __repr__(self) -> str:
        """Leave the PIN's source out."""
        return f"ElementPlan({self.uri})"


def element_at(uri: str) -> InstalledElement:
    """Return the element that ``uri`` names, with the environment that its module has here.

    Raises:
        Pkcs11UriError: the URI cannot be used, or names no module.
    """
    _module_path(parse(uri))
    here = {name: os.environ[name] for name in MODULE_VARIABLES if name in os.environ}
    return InstalledElement(uri, here)


def install_element(storage: DeviceStorage, element: InstalledElement) -> None:
    """Note that the device has ``element``; its next boot makes the device key in it."""
    storage.ps.set(Uid.ELEMENT, msgspec.msgpack.encode(element))


def installed_element(storage: DeviceStorage) -> InstalledElement | None:
    """Return the element that the station gave the device, if any.

    Raises:
        DataCorruptError: the entry is authentic, but of a form this firmware cannot read.
    """
    return stored(storage.ps, Uid.ELEMENT, _ELEMENT.decode, "the note of the element")


def plan_of(element: InstalledElement) -> ElementPlan:
    """Return how to use ``element`` as the station left it."""
    uri = parse(element.uri)
    pin = None if uri.pin_source is None else partial(pin_from_file, uri.pin_source)
    return ElementPlan(uri, pin, environment=element.environment)


def attach_element(storage: DeviceStorage, plan: ElementPlan) -> None:
    """Log in to the element, and let ``storage.keys`` make keys in it from now on.

    What an earlier boot left unfinished in the element is finished first.

    Raises:
        ElementError: the module, the token or the PIN cannot be used.
    """
    from device.storage.element.pkcs11 import Pkcs11KeyStore  # noqa: PLC0415 - ctypes, and only here
    from device.storage.sealed_keys import SealedKeyStore  # noqa: PLC0415

    element = element_of(storage, plan)
    storage.on_close(element.close)
    keys = Pkcs11KeyStore(storage, SealedKeyStore(storage.its), element, tls13=plan.tls13)
    keys.recover()
    storage.keys = keys


def element_of(storage: DeviceStorage, plan: ElementPlan) -> "SecureElement":
    """Load the module of ``plan``; nobody logs in yet.

    Raises:
        ElementError: the module cannot be used.
    """
    from device.storage.element.cryptoki import Module  # noqa: PLC0415 - ctypes, and only here
    from device.storage.element.secure_element import SecureElement  # noqa: PLC0415

    for name, value in plan.environment.items():
        os.environ.setdefault(name, value)
    module = Module.load(_module_path(plan.uri))
    refused = RefusedPins(storage.its, storage.root_of_trust)
    return SecureElement(module, plan.uri, plan.pin, refused)


def _module_path(uri: Pkcs11Uri) -> Path:
    if uri.module_path is None:
        raise Pkcs11UriError("module-path is missing; set the path of the element's library")
    return uri.module_path
