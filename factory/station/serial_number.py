"""What a serial number may be: it becomes thing name, client id, topic level and CN."""

import re
from typing import Final

from factory.errors import SERIAL_NUMBER

_SERIAL_NUMBER: Final = re.compile(r"[a-zA-Z0-9:_-]{1,64}")
"""Characters: AWS's for a thing name (CreateThing); length: X.520's for a common name."""


def check_serial_number(serial_number: str) -> str:
    """Return ``serial_number`` if AWS and X.509 can take it as it is.

    Raises:
        SerialNumberError: it is empty, too long, or has another character.
    """
    if not _SERIAL_NUMBER.fullmatch(serial_number):
        raise SERIAL_NUMBER.error(f"{serial_number!r} cannot be a serial number")
    return serial_number
