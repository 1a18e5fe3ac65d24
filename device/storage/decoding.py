"""Reading what is stored: whatever the bytes are, it ends in a value or in a DataCorruptError.

Storage rots, and people edit it. Each library has its own ways to refuse bytes, and some of
them are not among the errors that it documents: msgspec raises RecursionError for nested JSON
and UnicodeDecodeError for text that is not UTF-8, cryptography raises UnsupportedAlgorithm and
TypeError. They are listed here once.
"""

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol, TypeVar

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm

from device.errors.storage import DataCorruptError

UNDECODABLE: Final = (
    ValueError,  # UnicodeError and binascii.Error among them
    TypeError,
    LookupError,
    ArithmeticError,
    RecursionError,
    MemoryError,
    struct.error,
    msgspec.MsgspecError,
    UnsupportedAlgorithm,
)
"""What msgspec, cryptography and the standard library raise for bytes that they cannot decode."""

_MAX_REASON: Final = 200

T = TypeVar("T")


class Entries(Protocol):
    """Where entries are: `SecureStorage`."""

    def find(self, uid: int) -> bytes | None:
        """Return the entry, or None where there is none."""
        ...


@contextmanager
def decoding(what: str) -> Iterator[None]:
    """Turn whatever a decoder raises into one error that names ``what``.

    Raises:
        DataCorruptError: the bytes cannot be decoded.
    """
    try:
        yield
    except UNDECODABLE as error:
        raise _corrupt(what, error) from None


def _corrupt(what: str, error: BaseException) -> DataCorruptError:
    return DataCorruptError(f"{what} cannot be read: {reason(error)}")


def decoded(content: bytes, decode: Callable[[bytes], T], what: str) -> T:
    """Return what ``decode`` makes of ``content``.

    Raises:
        DataCorruptError: it cannot; the text names ``what``.
    """
    try:
        return decode(content)
    except UNDECODABLE as error:  # `decoding` costs as much as what it guards
        raise _corrupt(what, error) from None


def stored(storage: Entries, uid: int, decode: Callable[[bytes], T], what: str) -> T | None:
    """Return what ``decode`` makes of the entry ``uid``, or None where there is no such entry.

    Raises:
        DataCorruptError: the entry is authentic, but of a form this firmware cannot read.
    """
    content = storage.find(uid)
    return None if content is None else decoded(content, decode, what)


def reason(error: BaseException) -> str:
    """Return what msgspec says, on one short line; other libraries may quote what they read."""
    if not isinstance(error, msgspec.MsgspecError):
        return "its content is not of the expected form"
    return str(error).encode("unicode_escape").decode("ascii")[:_MAX_REASON]
