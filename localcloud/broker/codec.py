"""Reads and writes the fields that MQTT packets are made of (MQTT 5.0, 1.5 and 2.2.2)."""

import struct
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Any, Final

_VARINT_BYTES: Final = 4
_MORE: Final = 0x80


class MalformedError(ValueError):
    """The bytes are not what MQTT says they must be."""


class Property(IntEnum):
    """MQTT 5 property identifiers."""

    PAYLOAD_FORMAT = 0x01
    MESSAGE_EXPIRY = 0x02
    CONTENT_TYPE = 0x03
    RESPONSE_TOPIC = 0x08
    CORRELATION_DATA = 0x09
    SUBSCRIPTION_ID = 0x0B
    SESSION_EXPIRY = 0x11
    ASSIGNED_CLIENT_ID = 0x12
    SERVER_KEEP_ALIVE = 0x13
    AUTHENTICATION_METHOD = 0x15
    AUTHENTICATION_DATA = 0x16
    REQUEST_PROBLEM = 0x17
    WILL_DELAY = 0x18
    REQUEST_RESPONSE = 0x19
    RESPONSE_INFORMATION = 0x1A
    SERVER_REFERENCE = 0x1C
    REASON_STRING = 0x1F
    RECEIVE_MAXIMUM = 0x21
    TOPIC_ALIAS_MAXIMUM = 0x22
    TOPIC_ALIAS = 0x23
    MAXIMUM_QOS = 0x24
    RETAIN_AVAILABLE = 0x25
    USER_PROPERTY = 0x26
    MAXIMUM_PACKET_SIZE = 0x27
    WILDCARD_AVAILABLE = 0x28
    SUBSCRIPTION_ID_AVAILABLE = 0x29
    SHARED_AVAILABLE = 0x2A


Properties = Mapping[Property, Any]
"""A value for each property; USER_PROPERTY has a list of pairs."""


class Reader:
    """Takes field after field from the body of a packet."""

    def __init__(self, data: bytes) -> None:
        """Begin at the first byte of ``data``."""
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        """Whether anything is left."""
        return self._at < len(self._data)

    def take(self, size: int) -> bytes:
        """Return the next ``size`` bytes.

        Raises:
            MalformedError: there are fewer.
        """
        end = self._at + size
        if end > len(self._data):
            raise MalformedError("the packet ends within a field")
        self._at, taken = end, self._data[self._at : end]
        return taken

    def rest(self) -> bytes:
        """Return what is left."""
        return self.take(len(self._data) - self._at)

    def byte(self) -> int:
        """Return a one-byte integer."""
        return self.take(1)[0]

    def u16(self) -> int:
        """Return a two-byte integer."""
        return int.from_bytes(self.take(2), "big")

    def u32(self) -> int:
        """Return a four-byte integer."""
        return int.from_bytes(self.take(4), "big")

    def binary(self) -> bytes:
        """Return binary data, which its length precedes."""
        return self.take(self.u16())

    def string(self) -> str:
        """Return a string.

        Raises:
            MalformedError: it is not UTF-8, or has U+0000, which MQTT forbids.
        """
        try:
            text = self.binary().decode()
        except UnicodeDecodeError as error:
            raise MalformedError("a string is not UTF-8") from error
        if "\0" in text:
            raise MalformedError("a string contains U+0000")
        return text

    def pair(self) -> tuple[str, str]:
        """Return a pair of strings."""
        return self.string(), self.string()

    def varint(self) -> int:
        """Return a variable byte integer."""
        value = 0
        for index in range(_VARINT_BYTES):
            byte = self.byte()
            value |= (byte & ~_MORE) << 7 * index
            if not byte & _MORE:
                return value
        raise MalformedError("a length has more than four bytes")

    def properties(self) -> dict[Property, Any]:
        """Return a block of properties.

        Raises:
            MalformedError: one is unknown, or stands twice.
        """
        inside = Reader(self.take(self.varint()))
        found: dict[Property, Any] = {}
        while inside:
            name, value = _read_property(inside)
            if name is Property.USER_PROPERTY:
                found.setdefault(name, []).append(value)
            elif name in found:
                raise MalformedError(f"property {name.name} stands twice")
            else:
                found[name] = value
        return found


def _read_property(reader: Reader) -> tuple[Property, Any]:
    number = reader.byte()
    try:
        name = Property(number)
    except ValueError as error:
        raise MalformedError(f"there is no property {number:#x}") from error
    read, _write = _FORMS[name]
    return name, read(reader)


def varint(value: int) -> bytes:
    """Return ``value`` as a variable byte integer."""
    out = bytearray()
    while True:
        value, low = divmod(value, _MORE)
        out.append(low | (_MORE if value else 0))
        if not value:
            return bytes(out)


def binary(data: bytes) -> bytes:
    """Return ``data`` with its length before it."""
    return struct.pack("!H", len(data)) + data


def string(text: str) -> bytes:
    """Return ``text`` with its length before it."""
    return binary(text.encode())


def properties(values: Properties) -> bytes:
    """Return a block of properties."""
    block = b"".join(_write_property(name, value) for name, value in values.items())
    return varint(len(block)) + block


def _write_property(name: Property, value: Any) -> bytes:
    _read, write = _FORMS[name]
    values = value if name is Property.USER_PROPERTY else [value]
    return b"".join(bytes([name]) + write(one) for one in values)


def _pair(pair: tuple[str, str]) -> bytes:
    return string(pair[0]) + string(pair[1])


_Form = tuple[Callable[[Reader], Any], Callable[[Any], bytes]]
_BYTE: Final[_Form] = (Reader.byte, lambda value: bytes([value]))
_U16: Final[_Form] = (Reader.u16, lambda value: struct.pack("!H", value))
_U32: Final[_Form] = (Reader.u32, lambda value: struct.pack("!I", value))
_STRING: Final[_Form] = (Reader.string, string)
_BINARY: Final[_Form] = (Reader.binary, binary)
_FORMS: Final[Mapping[Property, _Form]] = {
    **dict.fromkeys(Property, _BYTE),
    **dict.fromkeys(
        (
            Property.MESSAGE_EXPIRY,
            Property.SESSION_EXPIRY,
            Property.WILL_DELAY,
            Property.MAXIMUM_PACKET_SIZE,
        ),
        _U32,
    ),
    **dict.fromkeys(
        (
            Property.SERVER_KEEP_ALIVE,
            Property.RECEIVE_MAXIMUM,
            Property.TOPIC_ALIAS_MAXIMUM,
            Property.TOPIC_ALIAS,
        ),
        _U16,
    ),
    **dict.fromkeys(
        (
            Property.CONTENT_TYPE,
            Property.RESPONSE_TOPIC,
            Property.ASSIGNED_CLIENT_ID,
            Property.AUTHENTICATION_METHOD,
            Property.RESPONSE_INFORMATION,
            Property.SERVER_REFERENCE,
            Property.REASON_STRING,
        ),
        _STRING,
    ),
    Property.CORRELATION_DATA: _BINARY,
    Property.AUTHENTICATION_DATA: _BINARY,
    Property.SUBSCRIPTION_ID: (Reader.varint, varint),
    Property.USER_PROPERTY: (Reader.pair, _pair),
}
