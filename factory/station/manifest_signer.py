"""The key that signs the manifests of this station's batches, and its certificate.

It is the station's, not of a CA: who trusts a manifest need not trust a CA with it. The
certificate signs itself; whoever checks manifests is given it once, as a file.
"""

from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from device.errors.storage import DoesNotExistError
from device.storage.device_storage import DeviceStorage
from device.storage.keys import KeyId, KeyType
from factory.errors import StationNotPreparedError
from factory.station.authority import issue_signer
from factory.station.manifest import Signer
from factory.station.station_keys import StationKeys

_KEY: Final = KeyId("manifest-key")
_CERTIFICATE: Final = 0x400
"""Where the certificate is in the station's Protected Storage; never to be changed."""


class ManifestSigner:
    """The station's manifest key."""

    def __init__(self, storage: DeviceStorage, keys: StationKeys) -> None:
        """Use ``storage``; to make the key, it must be open for writing."""
        self._storage = storage
        self._keys = keys

    def ensure(self, now: datetime) -> Signer:
        """Return key and certificate; the first call makes them.

        Raises:
            ElementError: the element that the key is to be made in cannot be used.
            StorageError: the disk refused.
        """
        if _CERTIFICATE not in self._storage.ps.uids():
            with self._storage.transaction():
                key = self._keys.store.private_key(
                    self._keys.store.generate_key(_KEY, KeyType.EC_P256)
                )
                pem = issue_signer(key, now).public_bytes(Encoding.PEM)
                self._storage.ps.set(_CERTIFICATE, pem)
        return Signer(self.certificate(), self._keys.store.private_key(_KEY))

    def certificate(self) -> x509.Certificate:
        """Return the certificate by which the station's manifests are checked.

        Raises:
            StationNotPreparedError: the station has not signed a manifest yet.
        """
        try:
            return x509.load_pem_x509_certificate(self._storage.ps.get(_CERTIFICATE))
        except DoesNotExistError:
            raise StationNotPreparedError("this station has not signed a manifest yet") from None
