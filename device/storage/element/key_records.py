"""What a device knows of the keys in its secure element: one entry in protected storage.

The element holds the keys; the records say which of them the device uses. They also hold the id
that the next key will get, written before that key is made. So a key in the element with this id
comes from a generation that was interrupted, and no key of anybody else is taken for one.

Reading the records needs neither the element nor its module.
"""

from typing import Final

import msgspec
from msgspec import Struct

from device.storage.decoding import stored
from device.storage.keys import KeyProof, KeyType
from device.storage.secure_storage import SecureStorage, Uid


class ElementKey(Struct, frozen=True, array_like=True):
    """One key in the element."""

    name: str
    """Its `KeyId`."""
    label: str
    """Its ``CKA_LABEL``, by which awscrt finds it."""
    identifier: bytes
    """Its ``CKA_ID``."""
    key_type: KeyType
    uri: str
    public_key: bytes
    """DER, SubjectPublicKeyInfo."""
    proofs: tuple[KeyProof, ...]
    adopted: bool
    """Whether the station made it in the element; then the device never destroys it."""
    pending_destruction: bool = False
    """Whether the device gave it up; it is destroyed in the element soon afterwards."""


class KeyRecords(Struct, frozen=True, array_like=True):
    """All keys of this device in its element."""

    next_id: bytes
    """The ``CKA_ID`` of the key that is made next."""
    keys: tuple[ElementKey, ...] = ()

    def active(self) -> dict[str, ElementKey]:
        """Return the keys that the device uses, by name."""
        return {key.name: key for key in self.keys if not key.pending_destruction}


_DECODER: Final = msgspec.msgpack.Decoder(KeyRecords)


def load(storage: SecureStorage) -> KeyRecords | None:
    """Return the records, or None where no element was ever used.

    Raises:
        DataCorruptError: the entry is authentic, but of a form this firmware cannot read.
    """
    what = "the records of the element's keys"
    return stored(storage, Uid.ELEMENT_KEYS, _DECODER.decode, what)


def save(storage: SecureStorage, records: KeyRecords) -> None:
    """Replace the records."""
    storage.set(Uid.ELEMENT_KEYS, msgspec.msgpack.encode(records))
