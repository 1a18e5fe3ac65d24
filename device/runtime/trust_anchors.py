"""The server's CAs that a device trusts: those in use, and new ones until they are proven.

New ones are stored beside those in use, and nothing but the trial trusts them. One commit puts them
in their place. So a power cut leaves either the old ones or proven ones, and the next start removes
what was not proven.
"""

import logging
from typing import Final

from device.errors.provisioning import CertificateUnacceptableError
from device.errors.renewal import TRUST_ANCHORS_FIXED
from device.errors.storage import StorageError
from device.storage.capacity import CAPACITY, PROVISIONING_ROOM
from device.storage.device_storage import DeviceStorage
from device.storage.secure_storage import Uid

_log = logging.getLogger(__name__)


class TrustAnchors:
    """The trust anchors of one device, as PEM."""

    def __init__(self, storage: DeviceStorage, current: bytes, *, are_fixed: bool) -> None:
        """Begin with ``current``; ``are_fixed``: a setting names them, so they are not stored."""
        self.current = current
        self._storage: Final = storage
        self._are_fixed: Final = are_fixed

    @property
    def staged(self) -> bytes:
        """The ones to be proven.

        Raises:
            DoesNotExistError: there are none.
        """
        return self._storage.ps.get(Uid.STAGED_ROOT_CA)

    def canonical(self, pem: str) -> bytes:
        """Return the certificates in ``pem``, as the station would store them.

        Raises:
            FirstbootError: they cannot be used, or not in this device (FB-449).
        """
        from device.identity.trust_anchors import canonical_trust_anchors  # noqa: PLC0415 - 8 ms

        if self._are_fixed:
            raise TRUST_ANCHORS_FIXED.error("the setting root_ca names a file")
        try:
            return canonical_trust_anchors(pem.encode())
        except CertificateUnacceptableError as error:
            raise TRUST_ANCHORS_FIXED.error(f"the bundle {error}") from None

    def stage(self, pem: bytes) -> None:
        """Store ``pem`` beside those in use.

        Raises:
            FirstbootError: too little room would be left, now or for the next renewal (FB-449).
            StorageError: the disk refused.
        """
        after = self._bytes_stored() - len(self.current) + len(pem)
        if after > CAPACITY - PROVISIONING_ROOM:
            raise TRUST_ANCHORS_FIXED.error("they would leave no room for the next certificate")
        self._storage.ps.set(Uid.STAGED_ROOT_CA, pem)

    def promote(self) -> None:
        """Put the staged ones into the place of those in use, in one commit.

        Raises:
            StorageError: the disk refused; those in use stay, and the staged ones are removed.
        """
        proven = self.staged
        try:
            with self._storage.transaction(finishing=True):
                self._storage.ps.set(Uid.ROOT_CA, proven)
                self._storage.ps.remove(Uid.STAGED_ROOT_CA)
        except StorageError:
            self.roll_back()
            raise
        self.current = proven

    def roll_back(self) -> None:
        """Remove what is staged, if anything is; where the disk refuses, the next start does."""
        try:
            if Uid.STAGED_ROOT_CA in self._storage.ps.uids():
                self._storage.ps.remove(Uid.STAGED_ROOT_CA)
        except StorageError as error:
            _log.warning("trust anchors that were not proven stay stored, unused: %s", error)

    def _bytes_stored(self) -> int:
        services = (self._storage.its, self._storage.ps)
        return sum(service.get_info(uid).size for service in services for uid in service.uids())
