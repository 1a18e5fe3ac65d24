"""Refused PINs of a token that is needed before the device's own storage can be opened.

A stolen file tells PINs that were wrong, to somebody who works for it.
"""

import hashlib
import hmac
import os
from collections.abc import Iterator
from typing import Final

from device.errors.element import WrongPinError
from device.storage.filesystem import Fs, replace


class RefusedPinFile:
    """A `PinMemory` in one file: each refused PIN with a salt, through scrypt."""

    NAME: Final = "refused-pins"
    _SALT: Final = 16
    _RECORD: Final = 48
    _KEPT: Final = 4

    def __init__(self, fs: Fs) -> None:
        self._fs = fs

    def check(self, token: str, pin: str) -> None:
        for record in self._records():
            if hmac.compare_digest(record, self._record(token, pin, record[: self._SALT])):
                raise WrongPinError(token)

    def remember(self, token: str, pin: str) -> None:
        new = self._record(token, pin, os.urandom(self._SALT))
        kept = [new, *self._records()][: self._KEPT]
        replace(self._fs, self.NAME, b"".join(kept))

    def forget(self) -> None:
        if self._fs.read(self.NAME) is not None:
            self._fs.unlink(self.NAME)
            self._fs.fsync_folder()

    def _records(self) -> Iterator[bytes]:
        content = self._fs.read(self.NAME) or b""
        yield from (content[at : at + self._RECORD] for at in range(0, len(content), self._RECORD))

    def _record(self, token: str, pin: str, salt: bytes) -> bytes:
        words = f"{token}\0{pin}".encode()
        return salt + hashlib.scrypt(words, salt=salt, n=2**14, r=8, p=1, dklen=32)
