"""Software keys inside ITS.

Its own page because it loads 6 ms worth of cryptography, which ``device status`` never needs.
"""

import re
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_pem_private_key,
)

from device.errors.storage import (
    INVALID_ARGUMENT,
    KEY_EXISTS,
    DoesNotExistError,
    KeyNotUsableError,
)
from device.storage.decoding import UNDECODABLE, decoded, decoding
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
        self._check_free(key)
        self._add(key, _generated(key_type), KeyOrigin.GENERATED)
        return key

    def import_key(self, key: KeyId, pem: bytes) -> KeyId:
        self._check_free(key)
        self._add(key, _parsed(pem), KeyOrigin.IMPORTED)
        return key

    def get_key_attributes(self, key: KeyId) -> KeyAttributes:
        _, record = self._find(key)
        return KeyAttributes(
            record.key_type, KeyLocation.LOCAL_STORAGE, record.origin, exportable=True
        )

    def export_public_key(self, key: KeyId) -> PublicKey:
        return self.private_key(key).public_key()

    def private_key(self, key: KeyId) -> PrivateKey:
        _, record = self._find(key)
        with decoding(f"the key {key}"):
            private_key = load_der_private_key(record.pkcs8, password=None)
        return _supported(private_key)[1]

    def tls_identity(self, key: KeyId, certificate_pem: bytes) -> MemoryIdentity:
        """Return PKCS#8 PEM, which awscrt takes from memory."""
        pem = self.private_key(key).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return MemoryIdentity(certificate_pem, pem)

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
        pkcs8 = private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        taken = self._records()
        uid = next(uid for uid in range(FIRST_KEY_UID, 2**64) if uid not in taken)
        record = _Record(key, _supported(private_key)[0], origin, pkcs8)
        self._its.set(uid, msgspec.msgpack.encode(record))


def _generated(key_type: KeyType) -> PrivateKey:
    match key_type:
        case KeyType.EC_P256:
            return ec.generate_private_key(ec.SECP256R1())
        case KeyType.EC_P384:
            return ec.generate_private_key(ec.SECP384R1())
        case KeyType.RSA_2048:
            return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _parsed(pem: bytes) -> PrivateKey:
    """Read a PEM; what it holds never shows in an error."""
    try:
        private_key = load_pem_private_key(pem, password=None)
    except TypeError:
        raise KeyNotUsableError("the key is encrypted: decrypt it first") from None
    except UNDECODABLE:
        raise KeyNotUsableError("not a private key in PEM (PKCS#8, SEC1 or PKCS#1)") from None
    return _supported(private_key)[1]


def _supported(private_key: object) -> tuple[KeyType, PrivateKey]:
    """Return the key with its type, or refuse it by the name of what it is."""
    match private_key:
        case ec.EllipticCurvePrivateKey(curve=ec.SECP256R1()):
            return KeyType.EC_P256, private_key
        case ec.EllipticCurvePrivateKey(curve=ec.SECP384R1()):
            return KeyType.EC_P384, private_key
        case rsa.RSAPrivateKey(key_size=2048):
            return KeyType.RSA_2048, private_key
        case ec.EllipticCurvePrivateKey(curve=curve):
            name = f"EC {curve.name}"
        case rsa.RSAPrivateKey(key_size=size):
            name = f"RSA-{size}"
        case _:
            name = type(private_key).__name__.removesuffix("PrivateKey")
    raise KeyNotUsableError(f"{name} keys are not supported; use one of {', '.join(KeyType)}")
