"""What a device knows of the keys in its secure element: one entry in protected storage.

The element keeps the keys; the book says which of them count. It also holds the id that the
next key will carry, written before that key is made: so a key in the element with this id was
made by a generation that was cut, and nobody else's key is ever taken for one.

Reading the book needs neither the element nor its module.
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
    """Whether the station made it in the element; then it is not ours to destroy."""
    doomed: bool = False
    """Whether it is destroyed as far as the device is concerned, and soon in the element."""


class ElementBook(Struct, frozen=True, array_like=True):
    """All keys of this device in its element."""

    reserved: bytes
    """The ``CKA_ID`` of the key that is made next."""
    keys: tuple[ElementKey, ...] = ()

    def living(self) -> dict[str, ElementKey]:
        """Return the keys that count, by name."""
        return {key.name: key for key in self.keys if not key.doomed}


_DECODER: Final = msgspec.msgpack.Decoder(ElementBook)


def load(storage: SecureStorage) -> ElementBook | None:
    """Return the book, or None where no element was ever used.

    Raises:
        DataCorruptError: the entry is authentic, but of a form this firmware cannot read.
    """
    return stored(storage, Uid.ELEMENT_KEYS, _DECODER.decode, "the book of the element's keys")


def save(storage: SecureStorage, book: ElementBook) -> None:
    """Replace the book."""
    storage.set(Uid.ELEMENT_KEYS, msgspec.msgpack.encode(book))
