"""For which devices a batch is: counted, or listed in a file."""

import re
from pathlib import Path
from typing import Final

from device.config.regular_file import read_regular_file
from device.errors import ConfigurationError
from factory.errors import BATCH, SERIAL_NUMBERS, StationError
from factory.station.serial_number import check_serial_number

_HEADINGS: Final = frozenset(
    {"serial", "serials", "serialnumber", "serialnumbers", "serialno", "sn"}
)
_MAX_BYTES: Final = 16 << 20
"""More than 200,000 of the longest serial numbers."""
_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,40}")


def check_batch_name(name: str) -> str:
    """Return ``name`` if it can be part of file names, object keys and serial numbers.

    Raises:
        BatchError: it cannot.
    """
    if not _NAME.fullmatch(name):
        raise BATCH.error(f"{name!r} cannot be a batch: 1 to 40 of a-z A-Z 0-9 _ -")
    return name


def counted(name: str, count: int) -> list[str]:
    """Return ``count`` serial numbers after the batch's name.

    Raises:
        SerialNumbersError: ``count`` is less than 1.
    """
    if count < 1:
        raise SERIAL_NUMBERS.error(f"a batch needs at least one device, not {count}")
    width = max(4, len(str(count)))
    return [f"{name}-{number:0{width}}" for number in range(1, count + 1)]


def read_from(file: Path) -> list[str]:
    """Return the serial numbers in ``file``: one a line; what follows ``#`` is left out.

    Line ends of any system, a byte order mark and empty lines are taken as they come.

    Raises:
        SerialNumbersError: the file cannot be read or is empty, or a line is no serial number,
            a heading, or a number that was there already; the text names file and line.
    """
    try:
        content = read_regular_file(file, max_bytes=_MAX_BYTES)
        lines = re.split(r"\r\n|\n|\r", content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        problem = f"it is not UTF-8 text (byte {error.start})"
        raise SERIAL_NUMBERS.error(f"{file} cannot be read: {problem}") from error
    except ConfigurationError as error:
        raise SERIAL_NUMBERS.error(f"{file} cannot be read: {error.problem}") from error
    found: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        serial_number = line.partition("#")[0].strip()
        if not serial_number:
            continue
        if not found and _is_heading(serial_number):
            problem = f"{serial_number} looks like a column heading; remove it"
            raise SERIAL_NUMBERS.error(f"{file}, line {number}: {problem}")
        if serial_number in found:
            problem = f"{serial_number} is already in line {found[serial_number]}"
            raise SERIAL_NUMBERS.error(f"{file}, line {number}: {problem}")
        try:
            found[check_serial_number(serial_number)] = number
        except StationError as error:
            raise SERIAL_NUMBERS.error(f"{file}, line {number}: {error}") from error
    if not found:
        raise SERIAL_NUMBERS.error(f"{file} holds no serial number")
    return list(found)


def _is_heading(words: str) -> bool:
    return re.sub(r"[^a-z]", "", words.casefold()) in _HEADINGS and not re.search(r"[0-9]", words)
