"""Where the station's own signing keys are: sealed in its storage, or in a secure element.

The claim's key is not among them: it goes into devices, so it is always in the storage.
"""

from device.storage.device_storage import DeviceStorage
from device.storage.element.installation import (
    InstalledElement,
    attach_element,
    install_element,
    installed_element,
    plan_of,
)
from device.storage.keys import KeyId, KeyStore
from device.storage.sealed_keys import SealedKeyStore


class StationKeys:
    """The keys of the CAs and of the manifests."""

    def __init__(self, storage: DeviceStorage) -> None:
        """Use ``storage``; the element is opened when the first key is used."""
        self._storage = storage
        self._is_attached = False

    @property
    def element(self) -> InstalledElement | None:
        """The element that the station has its keys in, if it has one."""
        return installed_element(self._storage)

    @property
    def store(self) -> KeyStore:
        """The keys, to be made and used.

        Raises:
            ElementError: the element cannot be used.
        """
        element = self.element
        if element is None:
            return SealedKeyStore(self._storage.its)
        if not self._is_attached:
            attach_element(self._storage, plan_of(element))
            self._is_attached = True
        return self._storage.keys

    def uri(self, key: KeyId) -> str:
        """Return where a key is; the element is not opened for it."""
        return self._storage.keys.uri(key)

    def use(self, element: InstalledElement) -> None:
        """Have keys made in ``element`` from now on; it is noted once it could be opened.

        Raises:
            ElementError: the module, the token or the PIN cannot be used.
        """
        attach_element(self._storage, plan_of(element))
        self._is_attached = True
        install_element(self._storage, element)
