"""Private keys as handles: what the firmware may do with a key, wherever it lives.

Names are those of the PSA Crypto API. This page loads no cryptography, so that settings and
``device status`` may name key types at no cost.
"""

from enum import IntEnum, StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final, NewType, Protocol, TypeAlias

from msgspec import Struct

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

PrivateKey: TypeAlias = "ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey"
PublicKey: TypeAlias = "ec.EllipticCurvePublicKey | rsa.RSAPublicKey"

KeyId = NewType("KeyId", str)
"""A key's label: ``device-key.1``, ``claim-key``."""

CLAIM_KEY: Final = KeyId("claim-key")
"""The key of the claim certificate; the station installs it, promotion destroys it."""

BIRTH_KEY: Final = KeyId("birth-key")
"""The key of the birth certificate; the station installs it, and it stays (docs/renewal.md)."""

FIRST_DEVICE_KEY: Final = KeyId("device-key.1")
"""The name of the key that a station makes in a device."""


class KeyType(StrEnum):
    """The keys that AWS IoT, TLS and secure elements have in common."""

    EC_P256 = "ec-p256"
    EC_P384 = "ec-p384"
    RSA_2048 = "rsa-2048"


class KeyLocation(IntEnum):
    """Where the key is used (PSA Crypto API, ``PSA_KEY_LOCATION_*``)."""

    LOCAL_STORAGE = 0x000000
    PRIMARY_SECURE_ELEMENT = 0x000001


class KeyOrigin(StrEnum):
    """Whether anybody else may have seen the key."""

    GENERATED = "generated"
    IMPORTED = "imported"


class KeyProof(StrEnum):
    """What a secure element vouches for: ``CKA_LOCAL`` and the like (PKCS #11 v2.40, 4.9)."""

    LOCAL = "local"
    """The key was made inside."""
    NEVER_EXTRACTABLE = "never-extractable"
    ALWAYS_SENSITIVE = "always-sensitive"


class KeyAttributes(Struct, frozen=True):
    """What a key is, without the key; safe to log."""

    key_type: KeyType
    location: KeyLocation
    origin: KeyOrigin
    exportable: bool
    """Whether the private key can leave the store, as it must for a TLS stack in software."""
    proofs: tuple[KeyProof, ...] = ()
    """What the secure element vouched for when it made the key."""


class MemoryIdentity(Struct, frozen=True):
    """What TLS needs of a software key: PEM in memory, never in a file."""

    certificate_pem: bytes
    private_key_pem: bytes

    def __repr__(self) -> str:
        """Leave the key out."""
        return f"MemoryIdentity(certificate_pem={self.certificate_pem!r})"


class Pkcs11Identity(Struct, frozen=True):
    """What TLS needs of a key that stays inside a secure element."""

    certificate_pem: bytes
    module_path: Path
    slot_id: int
    key_label: str
    pin: str | None
    tls13: bool
    """Whether TLS 1.3 may be negotiated; see docs/secure-elements.md."""

    def __repr__(self) -> str:
        """Leave the PIN out."""
        return f"Pkcs11Identity({self.module_path}, {self.slot_id}, {self.key_label!r})"


TlsIdentity: TypeAlias = MemoryIdentity | Pkcs11Identity


class KeyStore(Protocol):
    """Keeps private keys. A change is durable on return, or with the transaction around it."""

    def generate_key(self, key: KeyId, key_type: KeyType) -> KeyId:
        """Make a new key.

        Raises:
            KeyExistsError: the name is taken.
            InvalidArgumentError: the name is not 1 to 64 of letters, digits, ``.``, ``_``, ``-``.
        """
        ...

    def import_key(self, key: KeyId, pem: bytes) -> KeyId:
        """Take in a key made elsewhere: unencrypted PKCS#8, SEC1 or PKCS#1 PEM.

        Raises:
            KeyExistsError: the name is taken.
            KeyNotUsableError: not a private key, encrypted, or of a type that is not supported.
            InvalidArgumentError: the name is illegal.
        """
        ...

    def get_key_attributes(self, key: KeyId) -> KeyAttributes:
        """Return what the key is.

        Raises:
            DoesNotExistError: there is no such key.
        """
        ...

    def export_public_key(self, key: KeyId) -> PublicKey:
        """Return the public half.

        Raises:
            DoesNotExistError: there is no such key.
        """
        ...

    def private_key(self, key: KeyId) -> PrivateKey:
        """Return a handle that pyca/cryptography signs with, for a CSR.

        Raises:
            DoesNotExistError: there is no such key.
        """
        ...

    def tls_identity(self, key: KeyId, certificate_pem: bytes) -> TlsIdentity:
        """Return what the TLS stack needs to use the key with its certificate.

        Raises:
            DoesNotExistError: there is no such key.
        """
        ...

    def destroy_key(self, key: KeyId) -> None:
        """Destroy the key.

        Raises:
            DoesNotExistError: there is no such key.
        """
        ...

    def erase(self) -> None:
        """Destroy every key that is not sealed in the image, at once, whoever made it.

        For the end of the device's life: the sealed ones go with the root key. Calling it again
        does no harm.

        Raises:
            ElementError: the element cannot be used.
        """
        ...

    def keys(self) -> list[KeyId]:
        """Return the names of all keys, sorted."""
        ...

    def uri(self, key: KeyId) -> str:
        """Return where the key lives; safe to log and to keep in a configuration."""
        ...
