"""Which certificate and key a connection is made with, and where they come from."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Final, Protocol

from msgspec import Struct

from device.errors.provisioning import (
    CLAIM_MISSING,
    CREDENTIAL_UNUSABLE,
    CertificateUnacceptableError,
    ClaimExpiredError,
)
from device.errors.storage import DataCorruptError, DoesNotExistError
from device.lifecycle import journal
from device.provisioning.events import Credential
from device.runtime.clock import Clock, has_certainly_expired, trusted_wall_time
from device.storage import installed_certificate
from device.storage.device_storage import DeviceStorage
from device.storage.keys import BIRTH_KEY, CLAIM_KEY, KeyId, MemoryIdentity, TlsIdentity
from device.storage.manufacturing_data import made_at
from device.storage.secure_storage import Uid


class ClaimSource(Protocol):
    """Where a claim credential comes from."""

    def claim(self) -> TlsIdentity:
        """Return the claim certificate and its key.

        Raises:
            ClaimMissingError: the device has no claim.
            ClaimExpiredError: it is too old to be let in.
        """
        ...


class InstalledClaim:
    """The claim that the station put into the device."""

    def __init__(self, storage: DeviceStorage) -> None:
        """Read it from ``storage`` when it is asked for."""
        self._storage: Final = storage

    def claim(self) -> TlsIdentity:
        """Return the installed claim, whatever our clock says of its age: that may be wrong.

        Raises:
            ClaimMissingError: the device has no claim.
            CredentialUnusableError: it had expired when the station made the device.
        """
        from device.identity.certificates import leaf_of, validity  # noqa: PLC0415 - slow

        try:
            pem = self._storage.ps.get(Uid.CLAIM_CERTIFICATE)
        except DoesNotExistError:
            raise CLAIM_MISSING.error() from None
        with suppress(CertificateUnacceptableError):  # the TLS library says more about garbage
            self._check_age(validity(leaf_of(pem))[1])
        return self._storage.keys.tls_identity(CLAIM_KEY, pem)

    def _check_age(self, not_after: float) -> None:
        if has_certainly_expired(not_after, made_at(self._storage)):
            until = datetime.fromtimestamp(not_after, UTC).isoformat()
            raise CREDENTIAL_UNUSABLE.error(
                f"its certificate expired at {until}", credential="claim certificate"
            )


class BorrowedClaim(Struct, frozen=True):
    """A trusted user's claim: held in memory for its five minutes, never stored."""

    identity: MemoryIdentity
    expires_at: float
    """Seconds since the epoch."""
    clock: Clock

    def claim(self) -> TlsIdentity:
        """Return the claim while it is fresh."""
        now = trusted_wall_time(self.clock)
        if now is not None and now >= self.expires_at:
            raise ClaimExpiredError("the trusted user's claim is older than 5 minutes")
        return self.identity


class Credentials:
    """Gives each connection the certificate and key that it is to be made with."""

    def __init__(self, storage: DeviceStorage, claims: ClaimSource) -> None:
        """Take claims from ``claims`` and everything else from ``storage``."""
        self._storage: Final = storage
        self._claims: Final = claims

    def tls_identity(self, credential: Credential) -> TlsIdentity:
        """Return what to connect with.

        Raises:
            ClaimMissingError, ClaimExpiredError: there is no claim that could be used.
        """
        match credential:
            case Credential.CLAIM:
                return self._claims.claim()
            case Credential.INSTALLED:
                installed = installed_certificate.load(self._storage.ps)
                if installed is None:
                    raise DataCorruptError("the device holds no certificate from the station")
                return self._storage.keys.tls_identity(installed.key, installed.chain_pem)
            case Credential.STAGED:
                progress = journal.load(self._storage.ps)
                if progress is None:
                    raise DataCorruptError("the journal names no key of a staged certificate")
                return self._stored(progress.key, Uid.STAGED_CERTIFICATE)
            case Credential.BIRTH:
                return self._stored(BIRTH_KEY, Uid.BIRTH_CERTIFICATE)
            case Credential.DEVICE | Credential.TRIAL:
                identity = journal.load_identity(self._storage.ps)
                if identity is None:
                    raise DataCorruptError("the device has no identity")
                return self._stored(identity.key, Uid.DEVICE_CERTIFICATE)

    def _stored(self, key: KeyId, certificate: Uid) -> TlsIdentity:
        return self._storage.keys.tls_identity(key, self._storage.ps.get(certificate))
