"""A device whose secure element is a `FakeModule`."""

from device.storage.device_storage import DeviceStorage
from device.storage.element.pin import RefusedPins
from device.storage.element.pkcs11 import Pkcs11KeyStore
from device.storage.element.pkcs11_uri import parse
from device.storage.element.secure_element import SecureElement
from device.storage.sealed_keys import SealedKeyStore
from tests.support.fake_module import FakeModule

URI = "pkcs11:token=dev?module-path=/fake/module.so"


def element_of(
    storage: DeviceStorage, module: FakeModule, *, uri: str = URI, pin: str | None = "1234"
) -> SecureElement:
    """Return the element in ``module``, as the device would reach it with ``pin``."""
    refused = RefusedPins(storage.its, storage.root_of_trust)
    source = None if pin is None else lambda: pin
    return SecureElement(module, parse(uri), source, refused)


def attach(
    storage: DeviceStorage, module: FakeModule, *, uri: str = URI, tls13: bool = False
) -> Pkcs11KeyStore:
    """Let the device keep its keys in ``module``, as ``attach_element`` does with a real one."""
    element = element_of(storage, module, uri=uri)
    storage.on_close(element.close)
    keys = Pkcs11KeyStore(storage, SealedKeyStore(storage.its), element, tls13=tls13)
    keys.recover()
    storage.keys = keys
    return keys
