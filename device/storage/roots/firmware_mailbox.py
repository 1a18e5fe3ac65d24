"""The mailbox to a Raspberry Pi's firmware: one buffer in, the same buffer out.

Written from the source of librpifwcrypto (github.com/raspberrypi/utils, rpifwcrypto) and of
the kernel's vcio driver; never run on hardware.
"""

import fcntl
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final

from device.errors.root_of_trust import FIRMWARE_MAILBOX

Mailbox = Callable[[bytearray], None]
"""Hands a property buffer to the firmware, which writes its answer into it."""

_DEVICES: Final = (Path("/dev/vcio_crypto"), Path("/dev/vcio"))
"""The first takes the crypto tags alone, so that its users need no other right."""
_MAILBOX_PROPERTY: Final = 3 << 30 | struct.calcsize("P") << 16 | 100 << 8
"""``_IOWR(100, 0, char *)``."""

_HEADER: Final = struct.Struct("<5I")  # size, code, tag, room for the value, request/response
_END: Final = bytes(4)
_COMPLETE: Final = 0x8000_0000


class FirmwareMailbox:
    """The `Mailbox` of the machine that this runs on."""

    def __call__(self, buffer: bytearray) -> None:
        """Hand ``buffer`` over.

        Raises:
            FirmwareMailboxError: there is no mailbox, or this user may not, or it failed.
        """
        device = next((path for path in _DEVICES if path.exists()), _DEVICES[-1])
        try:
            descriptor = os.open(device, os.O_RDONLY)
            try:
                fcntl.ioctl(descriptor, _MAILBOX_PROPERTY, buffer, True)  # noqa: FBT003
            finally:
                os.close(descriptor)
        except OSError as error:
            raise FIRMWARE_MAILBOX.error(f"{device}: {error.strerror}") from None


def ask(mailbox: Mailbox, tag: int, request: bytes, room: int) -> bytes:
    """Send one tag with its ``request``, and return the ``room`` bytes that came back.

    Raises:
        FirmwareMailboxError: the firmware does not know the tag.
    """
    value = request.ljust(room, b"\0")
    size = _HEADER.size + room + len(_END)
    buffer = bytearray(_HEADER.pack(size, 0, tag, room, 0) + value + _END)
    mailbox(buffer)
    _, code, _, _, answered = _HEADER.unpack_from(buffer)
    if not code & answered & _COMPLETE:
        raise FIRMWARE_MAILBOX.error(f"the firmware does not answer tag {tag:#x}")
    return bytes(buffer[_HEADER.size : _HEADER.size + room])
