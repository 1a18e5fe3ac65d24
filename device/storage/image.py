"""One sealed image: every entry of the store in one authenticated, encrypted file.

Layout: magic, format version, generation, binding tag (which device), salt; then AES-256-GCM
of the entries, with all of the before as associated data. Each image has its own key, HKDF
of the device's sealing key and the random salt, so the nonce may be fixed: no counter has to
survive a power cut or a cloned disk.
"""

import os
import struct
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.bindings._rust import openssl
from cryptography.hazmat.primitives.hashes import SHA256, Hash
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from device.errors.storage import NEWER_FORMAT, DataCorruptError, WrongDeviceError
from device.storage.decoding import decoded
from device.storage.entries import Entries, Entry, Service, StorageFlag
from device.storage.formats import FORMAT, move_on
from device.storage.roots.root_of_trust import RootOfTrust

try:  # what its public name leads to, by way of all other ciphers: 3 ms of `device status`
    AESGCM = openssl.aead.AESGCM
except AttributeError:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_HEADER: Final = struct.Struct(">8sHQ16s32s")
_MAGIC: Final = b"FIRSTBT\0"
_NONCE: Final = bytes(12)
_ENTRIES: Final = msgspec.msgpack.Decoder(list[tuple[Service, int, int, bytes]])


def _entries(payload: bytes) -> dict[tuple[Service, int], Entry]:
    rows = _ENTRIES.decode(payload)
    return {(service, uid): Entry(data, StorageFlag(flags)) for service, uid, flags, data in rows}


def digest_of(image: bytes) -> bytes:
    """Return the SHA-256 of ``image``; `hashlib` would load a second OpenSSL, of 3 MiB."""
    digest = Hash(SHA256())
    digest.update(image)
    return digest.finalize()


class Sealer:
    """Seals and unseals the images of one device."""

    def __init__(self, root: RootOfTrust) -> None:
        """Derive the device's keys.

        Raises:
            LifecycleError: storage keys are not available in this state.
        """
        self._binding = root.derive(b"firstboot v1 storage binding", 16)
        self._key = root.derive(b"firstboot v1 storage seal")

    def seal(self, generation: int, entries: Entries) -> bytes:
        """Return a new image, under a key that no other image has."""
        salt = os.urandom(32)
        header = _HEADER.pack(_MAGIC, FORMAT, generation, self._binding, salt)
        rows = [(*key, int(entry.flags), entry.data) for key, entry in entries.items()]
        return header + self._cipher(salt).encrypt(_NONCE, msgspec.msgpack.encode(rows), header)

    def unseal(self, image: bytes) -> tuple[int, dict[tuple[Service, int], Entry]]:
        """Return the generation and the entries of an authentic image, in today's format.

        Raises:
            NewerFormatError: newer firmware wrote it.
            WrongDeviceError: it was sealed under other fuses.
            DataCorruptError: it is damaged, cut short, or no image at all.
        """
        if len(image) < _HEADER.size:
            raise DataCorruptError("the image is truncated")
        header = image[: _HEADER.size]
        magic, written_in, generation, binding, salt = _HEADER.unpack(header)
        if magic != _MAGIC or written_in < 1:
            raise DataCorruptError("not an image of a device's storage")
        if written_in > FORMAT:
            raise NEWER_FORMAT.error(written_in=written_in, known=FORMAT)
        if binding != self._binding:
            raise WrongDeviceError("the image was sealed under the fuses of another device")
        try:
            payload = self._cipher(salt).decrypt(_NONCE, image[_HEADER.size :], header)
        except InvalidTag:
            raise DataCorruptError("the image is not authentic") from None
        entries = decoded(payload, _entries, "the image is authentic, but its entries")
        move_on(written_in, entries)
        return generation, entries

    def _cipher(self, salt: bytes) -> AESGCM:
        info = b"firstboot v1 image" + self._binding
        return AESGCM(HKDF(SHA256(), 32, salt=salt, info=info).derive(self._key))
