"""The station's own secure storage, and the claim that it keeps in it.

A station is built like the devices it makes: fuses, a sealed store, lifecycle SECURED. The
claim's key is made inside, leaves as a CSR towards AWS, and as a key only into the sealed
storage of a device (docs/adr/0005).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509

from device.errors.storage import DoesNotExistError, LifecycleError, StorageMissingError
from device.identity.csr import build_csr, subject_name
from device.storage.decoding import stored
from device.storage.device_storage import (
    DeviceStorage,
    create_device_storage,
    open_device_storage,
)
from device.storage.element.installation import InstalledElement
from device.storage.keys import CLAIM_KEY, KeyStore, KeyType, MemoryIdentity
from device.storage.lifecycle import Lifecycle
from device.storage.sealed_keys import SealedKeyStore
from device.storage.secure_storage import Uid
from factory.account.cloud import Account
from factory.errors import NOT_A_STATION, OTHER_ACCOUNT, StationNotPreparedError
from factory.station.authorities import Authorities
from factory.station.manifest_signer import ManifestSigner
from factory.station.named_claim import COMMON_NAME, NamedClaims
from factory.station.station_keys import StationKeys

CLAIM_COMMON_NAME: Final = COMMON_NAME


class ClaimRecord(msgspec.Struct, frozen=True):
    """How far the station's claim certificate has come, and where it belongs."""

    account_id: str
    region: str
    requested_at: datetime
    certificate_id: str | None = None
    is_active: bool = False
    is_hooked: bool = False
    """Whether devices must prove who they are (``factory.methods.claim_hook``)."""


class Prepared(msgspec.Struct, frozen=True):
    """Where a method was prepared with this station."""

    method: str
    account_id: str
    region: str
    endpoint: str
    """The endpoint (``host:port``) that AWS names for this account and Region."""


_PREPARED: Final = 0x300
"""Where the list of these is in the station's Protected Storage; never to be changed."""


class Station:
    """What the station keeps, in front of its sealed storage."""

    def __init__(self, storage: DeviceStorage, folder: Path) -> None:
        """Use ``storage``, which must be open for writing; it is in ``folder``."""
        self.folder = folder
        self._storage = storage

    @property
    def record(self) -> ClaimRecord | None:
        """How far the claim has come; ``None`` if none was begun."""
        decode = msgspec.json.Decoder(ClaimRecord).decode
        what = "the record of the station's claim"
        return stored(self._storage.ps, Uid.PROVISIONING_JOURNAL, decode, what)

    @property
    def certificate_id(self) -> str:
        """The id of the claim certificate that the station keeps.

        Raises:
            StationNotPreparedError: none has been issued to this station.
        """
        record = self._begun()
        if record.certificate_id is None:
            raise StationNotPreparedError("no claim certificate was issued to this station yet")
        return record.certificate_id

    @cached_property
    def authorities(self) -> Authorities:
        """The CAs that sign certificates for devices."""
        return Authorities(self._storage, self._signing_keys)

    @property
    def named_claims(self) -> NamedClaims:
        """The claims that have a name and an end."""
        return NamedClaims(self._storage)

    @cached_property
    def manifest_signer(self) -> ManifestSigner:
        """What signs the manifests of batches."""
        return ManifestSigner(self._storage, self._signing_keys)

    @cached_property
    def _signing_keys(self) -> StationKeys:
        return StationKeys(self._storage)

    @property
    def element(self) -> InstalledElement | None:
        """The secure element with the keys of the CAs and of the manifests, if it is not here."""
        return self._signing_keys.element

    @property
    def _claim_keys(self) -> KeyStore:
        """Where the claim's key is: it goes into devices, so it is never in a secure element."""
        return SealedKeyStore(self._storage.its)

    @property
    def asks_for_proof(self) -> bool:
        """Whether the devices of this claim need a key to prove themselves with."""
        return self.record is not None and self.record.is_hooked

    def prepared(self, method: str) -> list[Prepared]:
        """Return where ``method`` was prepared; none if that was before stations noted it."""
        return [each for each in self._all_prepared() if each.method == method]

    def note_prepared(self, prepared: Prepared) -> None:
        """Note that a method was prepared in an account and Region."""
        self._replace_prepared(prepared.method, prepared.account_id, prepared.region, [prepared])

    def forget_prepared(self, method: str, account: Account) -> None:
        """Forget that a method was prepared in an account and Region."""
        self._replace_prepared(method, account.account_id, account.region, [])

    def _replace_prepared(
        self, method: str, account_id: str, region: str, new: list[Prepared]
    ) -> None:
        known, place = self._all_prepared(), (method, account_id, region)
        kept = [each for each in known if (each.method, each.account_id, each.region) != place]
        if [*kept, *new] != known:
            self._storage.ps.set(_PREPARED, msgspec.json.encode([*kept, *new]))

    def _all_prepared(self) -> list[Prepared]:
        decode = msgspec.json.Decoder(list[Prepared]).decode
        what = "the list of what was prepared"
        return stored(self._storage.ps, _PREPARED, decode, what) or []

    def check_account(self, account: Account) -> None:
        """Refuse to mix accounts in one station folder.

        Raises:
            OtherAccountError: the claim in here belongs elsewhere.
        """
        record = self.record
        if record and (record.account_id, record.region) != (account.account_id, account.region):
            raise OTHER_ACCOUNT.error(
                f"this station folder holds a claim for account {record.account_id}, "
                f"{record.region}, and the credentials are for {account}"
            )

    def begin_claim(self, account: Account, now: datetime) -> None:
        """Make a new claim key in the place of any older one."""
        with self._storage.transaction():
            self.forget_claim()
            self._claim_keys.generate_key(CLAIM_KEY, KeyType.EC_P256)
            self._write(ClaimRecord(account.account_id, account.region, now))

    def claim_csr(self) -> str:
        """Return a CSR (PEM) for the claim key, signed by it."""
        subject = subject_name({"common_name": CLAIM_COMMON_NAME})
        return build_csr(self._claim_keys.private_key(CLAIM_KEY), subject)

    def is_for_claim_key(self, certificate_pem: bytes) -> bool:
        """Tell whether a certificate was issued for the claim key."""
        certificate = x509.load_pem_x509_certificate(certificate_pem)
        return certificate.public_key() == self._claim_keys.export_public_key(CLAIM_KEY)

    def keep_certificate(self, certificate_id: str, certificate_pem: bytes) -> None:
        """Store what AWS issued for the claim key."""
        with self._storage.transaction():
            self._storage.ps.set(Uid.CLAIM_CERTIFICATE, certificate_pem)
            self._write(msgspec.structs.replace(self._begun(), certificate_id=certificate_id))

    def confirm_active(self) -> None:
        """Note that the certificate was ACTIVE: a later INACTIVE is someone's decision."""
        if not self._begun().is_active:
            self._write(msgspec.structs.replace(self._begun(), is_active=True))

    def note_hook(self, *, is_hooked: bool) -> None:
        """Note whether the devices of this claim need a key to prove themselves with."""
        if self._begun().is_hooked != is_hooked:
            self._write(msgspec.structs.replace(self._begun(), is_hooked=is_hooked))

    def forget_claim(self) -> None:
        """Destroy the claim key and what belongs to it."""
        with self._storage.transaction():
            if CLAIM_KEY in self._claim_keys.keys():  # noqa: SIM118 - a key store is no dict
                self._claim_keys.destroy_key(CLAIM_KEY)
            for uid in (Uid.CLAIM_CERTIFICATE, Uid.PROVISIONING_JOURNAL):
                try:
                    self._storage.ps.remove(uid)
                except DoesNotExistError:
                    continue

    def claim(self) -> MemoryIdentity:
        """Return certificate and key of the claim, to be installed in a device.

        Raises:
            StationNotPreparedError: ``factory prepare`` has not been run to its end.
        """
        if not self._begun().is_active:
            raise StationNotPreparedError("the claim certificate of this station is not active yet")
        certificate_pem = self._storage.ps.get(Uid.CLAIM_CERTIFICATE)
        # The claim's key is in software, so this is its identity in memory.
        identity: MemoryIdentity = self._claim_keys.tls_identity(CLAIM_KEY, certificate_pem)  # type: ignore[assignment] # as above
        return identity

    def claim_named(self, name: str, now: datetime) -> MemoryIdentity:
        """Return the claim that devices are made with: ``name``, else the newest, else the first.

        Raises:
            ClaimNameError: there is no claim ``name``, or it is not usable any more.
            StationNotPreparedError: the station has no claim at all.
        """
        current = self.named_claims.current(now)
        name = name or (current.name if current else "")
        return self.named_claims.identity(name, now) if name else self.claim()

    def _begun(self) -> ClaimRecord:
        record = self.record
        if record is None:
            raise StationNotPreparedError("this station has no claim")
        return record

    def _write(self, record: ClaimRecord) -> None:
        self._storage.ps.set(Uid.PROVISIONING_JOURNAL, msgspec.json.encode(record))


@contextmanager
def open_station(folder: Path, *, read_only: bool = False) -> Iterator[Station]:
    """Open the station in ``folder``; for reading only, any number of processes may.

    Raises:
        StationNotPreparedError: there is no station, or it was never finished.
        NotAStationError: there is a device.
        StorageError: the storage is busy, corrupt or rolled back.
    """
    try:
        storage = open_device_storage(folder, read_only=read_only)
    except (StorageMissingError, LifecycleError) as error:
        raise StationNotPreparedError(f"there is no prepared station in {folder}") from error
    with storage:
        if storage.lifecycle is not Lifecycle.SECURED:
            raise StationNotPreparedError(f"the station in {folder} is not complete")
        _check_is_station(storage, folder)
        yield Station(storage, folder)


@contextmanager
def open_or_make_station(folder: Path) -> Iterator[Station]:
    """Open the station in ``folder``, or make one there.

    Raises:
        NotAStationError: there is a device.
        StorageError: the storage is busy, corrupt or rolled back.
    """
    try:
        storage = open_device_storage(folder)
    except (StorageMissingError, LifecycleError):
        storage = create_device_storage(folder)
        storage.advance(Lifecycle.PSA_ROT_PROVISIONING)
        storage.advance(Lifecycle.SECURED)
    with storage:
        _check_is_station(storage, folder)
        yield Station(storage, folder)


def _check_is_station(storage: DeviceStorage, folder: Path) -> None:
    if Uid.SERIAL_NUMBER in storage.its.uids():
        raise NOT_A_STATION.error(f"{folder} holds a device, not a station")
