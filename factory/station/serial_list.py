"""For which devices a batch is: counted, or listed in a file."""

import csv
import re
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from io import StringIO
from pathlib import Path
from typing import Final, NamedTuple

from device.config.regular_file import read_regular_file
from device.errors import ConfigurationError
from factory.errors import BATCH, SERIAL_NUMBERS, StationError
from factory.station.serial_number import check_serial_number

_HEADINGS: Final = frozenset(
    {"serial", "serials", "serialnumber", "serialnumbers", "serialno", "sn"}
)
_MAX_BYTES: Final = 16 << 20
"""More than 200,000 of the longest serial numbers."""
_SERIAL: Final = "serial"
_SEPARATORS: Final = (";", "\t", ",")
"""Spreadsheets in half of Europe write semicolons."""
_COLUMN: Final = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_MAX_VALUE: Final = 800
"""The longest value of a thing's attribute (AWS IoT, service quotas)."""
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


class Row(NamedTuple):
    """One device of a list: its serial number, and what its other columns say."""

    serial_number: str
    values: tuple[tuple[str, str], ...] = ()
    """Column and value; an empty cell is left out."""


def read_from(file: Path) -> list[str]:
    """Return the serial numbers in ``file``; see `read_rows`."""
    return [row.serial_number for row in read_rows(file)]


def read_rows(file: Path) -> "Rows":
    """Return the devices in ``file``: one serial number a line, or CSV with a line of headings.

    One of the columns is the serial number (``serial``, ``Serial Number``, ``SN`` and the like);
    the others are attributes. Without headings, what follows ``#`` is left out; with headings, a
    line that begins with ``#`` is. Line ends of any system, a byte order mark and empty lines are
    taken as they come.

    Raises:
        SerialNumbersError: the file cannot be read or is empty, or a line is no serial number,
            or one that was there already, or has more or fewer cells than there are columns; the
            text names file and line.
    """
    return Rows(file, _text(file))


class Rows:
    """The devices of a list, all checked; only its text is in memory, however many they are."""

    def __init__(self, file: Path, text: str) -> None:
        """Check the ``text`` of ``file``; see `read_rows`."""
        self._file = file
        self._text = text
        self._count = _checked_count(file, text)

    def __len__(self) -> int:
        """Return how many devices there are."""
        return self._count

    def __iter__(self) -> Iterator[Row]:
        """Yield them in the order of the file."""
        return (row for _, row in _rows(self._file, self._text))


def _checked_count(file: Path, text: str) -> int:
    """Count the devices, and raise if one cannot be meant; of each, eight bytes are kept."""
    found: set[int] = set()
    for number, row in _rows(file, text):
        with _line_named(file, number):
            check_serial_number(row.serial_number)
        digest = _digest(row.serial_number)
        if digest in found:
            _refuse_second(file, text, row.serial_number, number)
        found.add(digest)
    if not found:
        raise SERIAL_NUMBERS.error(f"{file} holds no serial number")
    return len(found)


def _digest(serial_number: str) -> int:
    return int.from_bytes(blake2b(serial_number.encode(), digest_size=8).digest(), "big")


def _refuse_second(file: Path, text: str, serial_number: str, number: int) -> None:
    """Name the line in which the serial number was before."""
    first = next(at for at, row in _rows(file, text) if row.serial_number == serial_number)
    problem = f"{serial_number} is already in line {first}"
    raise SERIAL_NUMBERS.error(f"{file}, line {number}: {problem}")


def _text(file: Path) -> str:
    try:
        content = read_regular_file(file, max_bytes=_MAX_BYTES)
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problem = f"it is not UTF-8 text (byte {error.start})"
        raise SERIAL_NUMBERS.error(f"{file} cannot be read: {problem}") from error
    except ConfigurationError as error:
        raise SERIAL_NUMBERS.error(f"{file}: {error.problem}") from error


def _rows(file: Path, text: str) -> Iterator[tuple[int, Row]]:
    """Yield the rows with the numbers of their lines."""
    columns: list[str] | None = None
    separator = ","
    for number, line in enumerate(StringIO(text, newline=None), start=1):
        bare = line.partition("#")[0].strip() if columns in (None, []) else line.strip()
        if not bare or line.lstrip().startswith("#"):
            continue
        with _line_named(file, number):
            if columns is None:
                separator = next((each for each in _SEPARATORS if each in line), ",")
                columns = _headings(_cells(line, separator))
                if columns:
                    continue
            cells = _cells(line, separator) if columns else []
            yield number, _row(columns, cells) if columns else Row(_only_cell(bare))


def _headings(cells: list[str]) -> list[str]:
    """Return the columns that a first line names; none if it is a device."""
    serial = [cell for cell in cells if _is_heading(cell)]
    if not serial:
        return []
    if len(serial) > 1:
        raise SERIAL_NUMBERS.error(f"{serial[0]} and {serial[1]} both look like the serial number")
    columns = [_SERIAL if cell in serial else cell for cell in cells]
    for column in columns:
        if not _COLUMN.fullmatch(column):
            raise SERIAL_NUMBERS.error(
                f"{column!r} cannot be a column: 1 to 128 of a-z A-Z 0-9 _ - ."
            )
        if columns.count(column) > 1:
            raise SERIAL_NUMBERS.error(f"the column {column} is there twice")
    return columns


def _row(columns: list[str], cells: list[str]) -> Row:
    if len(cells) != len(columns):
        raise SERIAL_NUMBERS.error(
            f"it has {len(cells)} cells, and there are {len(columns)} columns"
        )
    for column, cell in zip(columns, cells, strict=True):
        if not cell.isprintable():
            raise SERIAL_NUMBERS.error(f"{column} holds a character that cannot be printed")
        if len(cell) > _MAX_VALUE:
            raise SERIAL_NUMBERS.error(f"{column} has more than {_MAX_VALUE} characters")
    by_column = dict(zip(columns, cells, strict=True))
    serial_number = by_column.pop(_SERIAL)
    return Row(serial_number, tuple((name, value) for name, value in by_column.items() if value))


def _only_cell(text: str) -> str:
    if any(each in text for each in _SEPARATORS):
        raise SERIAL_NUMBERS.error(
            "it has several cells; name the columns in the first line: serial,..."
        )
    return text


def _cells(line: str, separator: str) -> list[str]:
    try:
        (cells,) = csv.reader([line], delimiter=separator, strict=True)
    except (csv.Error, ValueError) as error:
        raise SERIAL_NUMBERS.error(f"it is not CSV: {error}") from error
    return [cell.strip() for cell in cells]


@contextmanager
def _line_named(file: Path, number: int) -> Iterator[None]:
    """Let an error name file and line."""
    try:
        yield
    except StationError as error:
        raise SERIAL_NUMBERS.error(f"{file}, line {number}: {error}") from error


def _is_heading(words: str) -> bool:
    return re.sub(r"[^a-z]", "", words.casefold()) in _HEADINGS and not re.search(r"[0-9]", words)
