"""A ClientHello, read: what a client offers before anything is agreed (RFC 8446, 4.1.2)."""

from dataclasses import dataclass
from typing import Final

from advisor.codec import MalformedError, Reader

_HANDSHAKE, _CLIENT_HELLO = 22, 1
_SERVER_NAME, _GROUPS, _SIGNATURES, _ALPN, _VERSIONS = 0, 10, 13, 16, 43
_GREASE: Final = frozenset(0x0A0A + 0x1010 * step for step in range(16))
"""Values that mean nothing, by which clients keep servers tolerant (RFC 8701)."""
_SIGNALLING: Final = frozenset({0x00FF, 0x5600})
"""Renegotiation info and fallback: values among the suites that are no suites."""


@dataclass(frozen=True)
class ClientHello:
    """What the client offers."""

    versions: tuple[int, ...]
    """0x0303 is TLS 1.2, 0x0304 is TLS 1.3."""
    suites: tuple[int, ...]
    server_name: str = ""
    alpn: tuple[str, ...] = ()
    groups: tuple[int, ...] = ()
    signatures: tuple[int, ...] = ()


def needed(data: bytes) -> int:
    """Return how many bytes the first TLS record has; it is 5 if that is not known yet."""
    return 5 if len(data) < 5 else 5 + int.from_bytes(data[3:5], "big")


def read_client_hello(record: bytes) -> ClientHello:
    """Read the ClientHello in a TLS record.

    Raises:
        MalformedError: there is none.
    """
    if len(record) < 6 or record[0] != _HANDSHAKE or record[5] != _CLIENT_HELLO:
        raise MalformedError("the first bytes are not a TLS ClientHello")
    body = Reader(record[9:])
    legacy = body.number(2)
    body.take(32)
    body.take(body.number(1))
    suites = _numbers(Reader(body.binary()))
    body.take(body.number(1))
    extensions = _extensions(Reader(body.binary())) if body else {}
    versions = _listed(extensions.get(_VERSIONS), size_bytes=1) or (legacy,)
    return ClientHello(
        versions=versions,
        suites=tuple(suite for suite in suites if suite not in _SIGNALLING),
        server_name=_server_name(extensions.get(_SERVER_NAME)),
        alpn=_alpn(extensions.get(_ALPN)),
        groups=_listed(extensions.get(_GROUPS)),
        signatures=_listed(extensions.get(_SIGNATURES)),
    )


def _extensions(reader: Reader) -> dict[int, bytes]:
    found = {}
    while reader:
        name = reader.number(2)
        found[name] = reader.binary()
    return found


def _numbers(reader: Reader) -> tuple[int, ...]:
    found = []
    while reader:
        found.append(reader.number(2))
    return tuple(number for number in found if number not in _GREASE)


def _listed(extension: bytes | None, size_bytes: int = 2) -> tuple[int, ...]:
    if extension is None:
        return ()
    reader = Reader(extension)
    return _numbers(Reader(reader.take(reader.number(size_bytes))))


def _server_name(extension: bytes | None) -> str:
    if not extension:
        return ""
    names = Reader(Reader(extension).binary())
    names.number(1)
    return names.text()


def _alpn(extension: bytes | None) -> tuple[str, ...]:
    if extension is None:
        return ()
    names, found = Reader(Reader(extension).binary()), []
    while names:
        found.append(names.take(names.number(1)).decode("ascii", "replace"))
    return tuple(found)
