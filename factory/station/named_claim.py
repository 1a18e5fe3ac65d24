"""Claims with a name and an end, one for each batch if you like, beside the station's first one.

A claim is shared by all devices that were made with it, so whoever takes one apart has it. A claim
per batch, with an expiry, limits what that is worth: when the batch has booted, the claim is turned
off, and no other batch is touched.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

import msgspec
from cryptography import x509

from device.identity.csr import build_csr, subject_name
from device.storage.decoding import stored
from device.storage.device_storage import DeviceStorage
from device.storage.keys import KeyId, KeyStore, KeyType, MemoryIdentity
from device.storage.sealed_keys import SealedKeyStore
from factory.account.cloud import Account
from factory.errors import CLAIM_NAME, OTHER_ACCOUNT, StationNotPreparedError

COMMON_NAME: Final = "firstboot-claim"
"""Subject of every claim's certificate; AWS keeps the CSR's subject, so it is found again by it."""
_CLAIMS: Final = 0x310
"""Where the list is in the station's Protected Storage; never to be changed."""
_MOST: Final = 12
"""So many claims have their keys in the storage; those that are off have none, and make room."""


class NamedRecord(msgspec.Struct, frozen=True):
    """How far a claim has come, and when it ends."""

    name: str
    account_id: str
    region: str
    requested_at: datetime
    expires_at: datetime
    certificate_id: str | None = None
    certificate_pem: str = ""
    is_active: bool = False
    is_off: bool = False
    """It was turned off in the cloud, and its key was destroyed."""

    def is_usable(self, now: datetime) -> bool:
        """Tell whether devices may be made with it."""
        return self.is_active and not self.is_off and now < self.expires_at


class NamedClaim:
    """One claim; used as the station's first one is, until its certificate is ACTIVE."""

    def __init__(self, claims: "NamedClaims", name: str) -> None:
        """Use the claim ``name`` of ``claims``, which has it."""
        self._claims = claims
        self._name = name

    @property
    def record(self) -> NamedRecord:
        """How far it has come."""
        return self._claims.record(self._name)

    @property
    def certificate_id(self) -> str:
        """The id of its certificate.

        Raises:
            StationNotPreparedError: none has been issued yet.
        """
        if self.record.certificate_id is None:
            raise StationNotPreparedError(f"no certificate was issued for claim {self._name} yet")
        return self.record.certificate_id

    def check_account(self, account: Account) -> None:
        """Refuse to use it in another account.

        Raises:
            OtherAccountError: it belongs elsewhere.
        """
        record = self.record
        if (record.account_id, record.region) != (account.account_id, account.region):
            raise OTHER_ACCOUNT.error(
                f"claim {self._name} is of account {record.account_id}, {record.region}, and the "
                f"credentials are for {account}"
            )

    def begin_claim(self, account: Account, _: datetime, /) -> None:
        """Never make another key in its place: what was turned off stays off.

        Raises:
            ClaimNameError: always.
        """
        raise CLAIM_NAME.error(f"claim {self._name} was turned off or deleted in {account}")

    def claim_csr(self) -> str:
        """Return a CSR (PEM) for its key, signed by it."""
        key = self._claims.keys.private_key(key_of(self._name))
        return build_csr(key, subject_name({"common_name": COMMON_NAME}))

    def is_for_claim_key(self, certificate_pem: bytes) -> bool:
        """Tell whether a certificate was issued for its key."""
        certificate = x509.load_pem_x509_certificate(certificate_pem)
        return certificate.public_key() == self._claims.keys.export_public_key(key_of(self._name))

    def keep_certificate(self, certificate_id: str, certificate_pem: bytes) -> None:
        """Store what AWS issued for its key."""
        self._claims.change(
            self._name, certificate_id=certificate_id, certificate_pem=certificate_pem.decode()
        )

    def confirm_active(self) -> None:
        """Note that the certificate is ACTIVE."""
        if not self.record.is_active:
            self._claims.change(self._name, is_active=True)


class NamedClaims:
    """All of them, in the station's sealed storage."""

    def __init__(self, storage: DeviceStorage) -> None:
        """Use ``storage``; to change something, it must be open for writing."""
        self._storage = storage

    @property
    def keys(self) -> KeyStore:
        """Their keys, in software: they go into devices."""
        return SealedKeyStore(self._storage.its)

    def __iter__(self) -> Iterator[NamedRecord]:
        """Yield all claims, the oldest first."""
        return iter(self._all())

    def record(self, name: str) -> NamedRecord:
        """Return one claim.

        Raises:
            ClaimNameError: there is none of this name.
        """
        found = [each for each in self if each.name == name]
        if not found:
            raise CLAIM_NAME.error(f"this station has no claim {name}")
        return found[0]

    def begin(self, name: str, account: Account, now: datetime, expires_at: datetime) -> NamedClaim:
        """Make the key of a new claim, or take up one that is not ACTIVE yet.

        Raises:
            ClaimNameError: the name is taken, or there are too many claims.
        """
        known = [each for each in self if each.name == name]
        if known and (known[0].is_active or known[0].is_off):
            raise CLAIM_NAME.error(f"this station has a claim {name} already")
        if not known:
            if sum(not each.is_off for each in self) >= _MOST:
                raise CLAIM_NAME.error(f"{_MOST} claims of this station are still on")
            record = NamedRecord(name, account.account_id, account.region, now, expires_at)
            with self._storage.transaction():
                self.keys.generate_key(key_of(name), KeyType.EC_P256)
                self._write([*self, record])
        return NamedClaim(self, name)

    def change(self, name: str, **fields: object) -> None:
        """Change what is known of one claim."""
        self._write(
            [
                msgspec.structs.replace(each, **fields) if each.name == name else each
                for each in self
            ]
        )

    def turn_off(self, name: str) -> None:
        """Destroy the key of a claim that is off in the cloud, and note that."""
        with self._storage.transaction():
            if key_of(name) in self.keys.keys():  # noqa: SIM118 - a key store is no dict
                self.keys.destroy_key(key_of(name))
            self.change(name, is_off=True, certificate_pem="")

    def forget(self) -> None:
        """Destroy all keys, and what belongs to them."""
        with self._storage.transaction():
            for each in list(self):
                self.turn_off(each.name)
            self._write([])

    def current(self, now: datetime) -> NamedRecord | None:
        """Return the newest claim that devices may be made with; None if there is none."""
        usable = [each for each in self if each.is_usable(now)]
        return usable[-1] if usable else None

    def identity(self, name: str, now: datetime) -> MemoryIdentity:
        """Return certificate and key of a claim, to be installed in a device.

        Raises:
            ClaimNameError: there is none of this name, or it is not usable any more.
        """
        record = self.record(name)
        if not record.is_usable(now):
            state = "is off" if record.is_off else f"ends {record.expires_at:%Y-%m-%d %H:%M} UTC"
            raise CLAIM_NAME.error(f"claim {name} {state if record.is_active else 'is not active'}")
        pem = record.certificate_pem.encode()
        identity = self.keys.tls_identity(key_of(name), pem)
        assert isinstance(identity, MemoryIdentity)  # noqa: S101 - the key is in software
        return identity

    def _all(self) -> list[NamedRecord]:
        decode = msgspec.json.Decoder(list[NamedRecord]).decode
        return stored(self._storage.ps, _CLAIMS, decode, "the list of the named claims") or []

    def _write(self, records: list[NamedRecord]) -> None:
        self._storage.ps.set(_CLAIMS, msgspec.json.encode(records))


def key_of(name: str) -> KeyId:
    """Return what the key of a claim is called in the station's storage."""
    return KeyId(f"claim-key.{name}")
