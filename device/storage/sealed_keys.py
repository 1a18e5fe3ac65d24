"""Software keys inside ITS.

A device at work only hands its key over to awscrt, so `device.storage.software_keys` is loaded by
those methods alone that make a key, or use it here.
"""

import re
from base64 import b64encode
from typing import Final

import msgspec

from device.errors.storage import (
    INVALID_ARGUMENT,
    KEY_EXISTS,
    DoesNotExistError,
)
from device.storage.decoding import decoded
from device.storage.keys import (
    KeyAttributes,
    KeyId,
    KeyLocation,
    KeyOrigin,
    KeyType,
    MemoryIdentity,
    PrivateKey,
    PublicKey,
)
from device.storage.secure_storage import SecureStorage

FIRST_KEY_UID: Final = 0x1000
_PEM_LINE: Final = 64
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


class _Record(msgspec.Struct, frozen=True, array_like=True):
    """A key as it lies in ITS."""

    name: str
    key_type: KeyType
    origin: KeyOrigin
    pkcs8: bytes

    def __repr__(self) -> str:
        return f"_Record({self.name!r}, {self.key_type}, {self.origin})"


_RECORD: Final = msgspec.msgpack.Decoder(_Record)


class SealedKeyStore:
    """A `KeyStore` for keys in software: PKCS#8 in ITS, one uid a key."""

    def __init__(self, its: SecureStorage) -> None:
        self._its = its

    def generate_key(self, key: KeyId, key_type: KeyType) -> KeyId:
        from device.storage.software_keys import generated  # noqa: PLC0415 - see above

        self._check_free(key)
        self._add(key, generated(key_type), KeyOrigin.GENERATED)
        return key

    def import_key(self, key: KeyId, pem: bytes) -> KeyId:
        from device.storage.software_keys import parsed  # noqa: PLC0415 - see above

        self._check_free(key)
        self._add(key, parsed(pem), KeyOrigin.IMPORTED)
        return key

    def get_key_attributes(self, key: KeyId) -> KeyAttributes:
        _, record = self._find(key)
        return KeyAttributes(
            record.key_type, KeyLocation.LOCAL_STORAGE, record.origin, exportable=True
        )

    def export_public_key(self, key: KeyId) -> PublicKey:
        return self.private_key(key).public_key()

    def private_key(self, key: KeyId) -> PrivateKey:
        from device.storage.software_keys import read  # noqa: PLC0415 - see above

        _, record = self._find(key)
        return read(record.pkcs8, f"the key {key}")

    def tls_identity(self, key: KeyId, certificate_pem: bytes) -> MemoryIdentity:
        """Return PKCS#8 PEM, which awscrt takes from memory."""
        _, record = self._find(key)
        return MemoryIdentity(certificate_pem, _pem(record.pkcs8))

    def destroy_key(self, key: KeyId) -> None:
        """Destroy the key; no copy of the storage holds it afterwards."""
        uid, _ = self._find(key)
        self._its.remove(uid)

    def erase(self) -> None:
        """Do nothing: all keys here are sealed."""

    def keys(self) -> list[KeyId]:
        return sorted(KeyId(record.name) for record in self._records().values())

    def uri(self, key: KeyId) -> str:
        return f"sealed:{key}"

    def _records(self) -> dict[int, _Record]:
        uids = [uid for uid in self._its.uids() if uid >= FIRST_KEY_UID]
        return {
            uid: decoded(self._its.get(uid), _RECORD.decode, f"the key under ITS uid {uid:#x}")
            for uid in uids
        }

    def _find(self, key: KeyId) -> tuple[int, _Record]:
        for uid, record in self._records().items():
            if record.name == key:
                return uid, record
        raise DoesNotExistError(f"there is no key {key!r}")

    def _check_free(self, key: KeyId) -> None:
        if not _NAME.fullmatch(key):
            raise INVALID_ARGUMENT.error(
                f"{key!r} is not a key name (letters, digits, '.', '_', '-')"
            )
        if key in self.keys():
            raise KEY_EXISTS.error(f"the key {key!r} already exists")

    def _add(self, key: KeyId, private_key: PrivateKey, origin: KeyOrigin) -> None:
        from device.storage.software_keys import supported, written  # noqa: PLC0415 - see above

        taken = self._records()
        uid = next(uid for uid in range(FIRST_KEY_UID, 2**64) if uid not in taken)
        record = _Record(key, supported(private_key)[0], origin, written(private_key))
        self._its.set(uid, msgspec.msgpack.encode(record))


def _pem(pkcs8: bytes) -> bytes:
    """Return the key as PEM (RFC 7468, 10), with lines of 64 characters."""
    text = b64encode(pkcs8)
    lines = [text[at : at + _PEM_LINE] for at in range(0, len(text), _PEM_LINE)]
    return b"\n".join([b"-----BEGIN PRIVATE KEY-----", *lines, b"-----END PRIVATE KEY-----", b""])
