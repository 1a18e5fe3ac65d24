"""The certificate that the station put into the device, with the name of its key: one entry."""

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from device.storage.decoding import Entries, stored
from device.storage.entries import Uid
from device.storage.keys import KeyId

if TYPE_CHECKING:
    from device.storage.secure_storage import SecureStorage


class InstalledCertificate(Struct, frozen=True):
    """What a device holds that did not ask for its certificate, until it is proven."""

    key: KeyId
    chain_pem: bytes
    """The device's certificate, then those of its CAs that belong into the handshake."""


_DECODER: Final = msgspec.msgpack.Decoder(InstalledCertificate)


def load(storage: Entries) -> InstalledCertificate | None:
    """Return the certificate, or None where the station installed none or it is proven.

    Raises:
        DataCorruptError: the entry is authentic, but of a form this firmware cannot read.
    """
    uid, what = Uid.INSTALLED_CERTIFICATE, "the installed certificate"
    return stored(storage, uid, _DECODER.decode, what)


def save(storage: "SecureStorage", key: KeyId, chain_pem: bytes) -> None:
    """Install the certificate ``chain_pem`` of ``key``."""
    storage.set(Uid.INSTALLED_CERTIFICATE, encoded(key, chain_pem))


def encoded(key: KeyId, chain_pem: bytes) -> bytes:
    """Return the entry."""
    return msgspec.msgpack.encode(InstalledCertificate(key, chain_pem))
