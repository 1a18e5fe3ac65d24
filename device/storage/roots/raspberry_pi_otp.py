"""A root key in the one-time-programmable memory of a Raspberry Pi, used by its firmware.

The firmware computes HMAC-SHA256 with a device key that Linux need not see. Written from the
documentation and source of librpifwcrypto (github.com/raspberrypi/utils, rpifwcrypto), tried
against a fake of the firmware alone: **untried on hardware**.
"""

import struct
from enum import IntEnum
from typing import ClassVar, Final

from device.errors.root_of_trust import OTP_KEY
from device.storage.filesystem import Fs
from device.storage.roots.firmware_mailbox import Mailbox, ask
from device.storage.roots.fuse_files import KeyedFuses
from device.storage.roots.root_of_trust import SEALED, Strength, Threat

_GET_LAST_ERROR: Final = 0x0003_008E
_HMAC_SHA256: Final = 0x0003_0092
_MOST_BYTES: Final = 2048
_HMAC_ROOM: Final = 3 * 4 + _MOST_BYTES  # flags, key, length, message
_HMAC_ANSWER: Final = struct.Struct("<2I32s")  # status, length, HMAC
_FAILED: Final = 0x8000_0000


class Trouble(IntEnum):
    """``RPI_FW_CRYPTO_STATUS``: what the firmware says when it fails."""

    UNKNOWN = 1
    INVALID_ARGUMENT = 2
    KEY_NOT_FOUND = 3
    KEY_LOCKED = 4
    OTP_ERROR = 5
    KEY_NOT_SET = 6
    KEY_INVALID = 7
    NOT_SUPPORTED = 8
    OPERATION_FAILED = 9


class RaspberryPiOtp(KeyedFuses):
    """The HMAC key is in OTP; burning it there is for ever, and not done here."""

    kind: ClassVar[str] = "raspberry-pi-otp"
    strength: ClassVar[Strength] = Strength(
        (*SEALED, Threat.STOLEN_STATE, Threat.CLONED_DISK),
        "not tested on hardware; any program that may use the firmware's mailbox can read it",
    )

    def __init__(self, fs: Fs, mailbox: Mailbox, key: int) -> None:
        """Use the OTP key number ``key``; 1 is the device's private key."""
        super().__init__(fs)
        self._mailbox = mailbox
        self._key = key

    def _hmac(self, message: bytes) -> bytes:
        request = struct.pack("<3I", 0, self._key, len(message)) + message
        answer = ask(self._mailbox, _HMAC_SHA256, request, _HMAC_ROOM)
        status, _, mac = _HMAC_ANSWER.unpack_from(answer)
        if status & _FAILED:
            raise OTP_KEY.error(self._trouble(), key=self._key)
        return bytes(mac)

    def _trouble(self) -> str:
        (code,) = struct.unpack("<I", ask(self._mailbox, _GET_LAST_ERROR, b"", 4))
        try:
            return Trouble(code).name
        except ValueError:
            return f"firmware error {code}"
