"""Refused PINs of a token that is needed before the device's own storage can be opened.

A stolen file tells PINs that were wrong, to someone who works for it.
"""

import hashlib
import os
from typing import Final

from device.storage.element.pin import PinMemory
from device.storage.filesystem import Fs, replace


class RefusedPinFile(PinMemory):
    """In one file: each refused PIN with a salt, through scrypt."""

    NAME: Final = "refused-pins"
    _SALT: Final = 16

    def __init__(self, fs: Fs) -> None:
        super().__init__(record_bytes=48, at_most=4)
        self._fs = fs

    def _record(self, token: str, pin: str, like: bytes | None) -> bytes:
        salt = os.urandom(self._SALT) if like is None else like[: self._SALT]
        words = f"{token}\0{pin}".encode()
        return salt + hashlib.scrypt(words, salt=salt, n=2**14, r=8, p=1, dklen=32)

    def _read(self) -> bytes | None:
        return self._fs.read(self.NAME)

    def _write(self, records: bytes) -> None:
        replace(self._fs, self.NAME, records)

    def _erase(self) -> None:
        self._fs.unlink(self.NAME)
        self._fs.fsync_folder()
