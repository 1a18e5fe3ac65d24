"""The firmware of a Raspberry Pi, as far as librpifwcrypto's source documents its mailbox."""

import hmac
import struct

HMAC_TAG, LAST_ERROR_TAG = 0x00030092, 0x0003008E
COMPLETE, FAILED = 0x8000_0000, 0x8000_0000


class FakeFirmware:
    """A mailbox; ``keys`` is OTP, ``locked`` are the keys that HMAC_LOCKED is set for."""

    def __init__(self, keys: dict[int, bytes]) -> None:
        self.keys = keys
        self.locked: set[int] = set()
        self.knows_crypto = True
        self.last_error = 0
        self.messages: list[bytes] = []

    def __call__(self, buffer: bytearray) -> None:
        size, code, tag, room, request = struct.unpack_from("<5I", buffer)
        assert (size, code, request) == (len(buffer), 0, 0), "not a property request"
        assert size == 20 + room + 4, "the end tag is missing"
        if not self.knows_crypto:
            struct.pack_into("<I", buffer, 4, COMPLETE)
            return
        value = {HMAC_TAG: self._hmac, LAST_ERROR_TAG: self._error}[tag](buffer[20 : 20 + room])
        buffer[20 : 20 + len(value)] = value
        struct.pack_into("<I", buffer, 4, COMPLETE)
        struct.pack_into("<I", buffer, 16, COMPLETE | len(value))

    def _hmac(self, request: bytearray) -> bytes:
        flags, key, length = struct.unpack_from("<3I", request)
        assert flags == 0
        assert len(request) == 12 + 2048
        self.last_error = 3 if key not in self.keys else 4 if key in self.locked else 0
        if self.last_error == 0 and not any(self.keys[key]):
            self.last_error = 6
        if self.last_error:
            return struct.pack("<2I", FAILED, 0)
        message = bytes(request[12 : 12 + length])
        self.messages.append(message)
        return struct.pack("<2I", 0, 32) + hmac.digest(self.keys[key], message, "sha256")

    def _error(self, request: bytearray) -> bytes:
        return struct.pack("<I", self.last_error)
