"""PKCS #11 URIs (RFC 7512), read strictly: which module, which token, which key in it.

A URI may lie in a configuration and show up in a log, so it never holds a PIN: ``pin-value``
is refused, and no error repeats a value.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from msgspec import Struct

from device.errors.element import Pkcs11UriError

SCHEME: Final = "pkcs11:"

_PATH: Final = {  # name: most bytes, as CK_TOKEN_INFO and CK_ATTRIBUTE have room
    "token": 32,
    "manufacturer": 32,
    "model": 16,
    "serial": 16,
    "slot-id": 20,
    "object": 255,
    "id": 255,
    "type": 16,
}
_QUERY: Final = {"module-path": 4096, "pin-source": 4096}
_REFUSED: Final = {
    "pin-value": "a URI must not contain a PIN: use pin-source or key.pin_file",
    "module-name": "give the module's path: module-path",
}
_RESERVED: Final = ":[]@!$'()*+,="  # RFC 7512, 2.3: pk11-res-avail
_VALUE: Final = {
    separator: f"(?:[A-Za-z0-9._~{re.escape(_RESERVED + more)}-]|%[0-9A-Fa-f]{{2}})*"
    for separator, more in ((";", "&"), ("&", "/?|"))
}


class Pkcs11Uri(Struct, frozen=True, kw_only=True):
    """What a URI says; None where it says nothing."""

    token: str | None = None
    manufacturer: str | None = None
    model: str | None = None
    serial: str | None = None
    slot_id: int | None = None
    object: str | None = None
    id: bytes | None = None
    module_path: Path | None = None
    pin_source: Path | None = None

    def __str__(self) -> str:
        """Write it in the order of RFC 7512's examples; what it names is a private key."""
        path = [f"{name}={quote(text, safe=_RESERVED)}" for name, text in self._texts()]
        if self.id is not None:
            path.append("id=" + "".join(f"%{byte:02X}" for byte in self.id))
        if self.object is not None or self.id is not None:
            path.append("type=private")
        query = [
            f"{name}={quote(str(file), safe='/' + _RESERVED)}"
            for name, file in (("module-path", self.module_path), ("pin-source", self.pin_source))
            if file is not None
        ]
        return SCHEME + ";".join(path) + ("?" + "&".join(query) if query else "")

    def _texts(self) -> Iterator[tuple[str, str]]:
        for name in ("token", "manufacturer", "model", "serial", "slot-id", "object"):
            value = getattr(self, name.replace("-", "_"))
            if value is not None:
                yield name, str(value)


def parse(text: str) -> Pkcs11Uri:
    """Read a URI, e.g. ``pkcs11:token=dev;object=device-key?module-path=/usr/lib/x.so``.

    Raises:
        Pkcs11UriError: it is malformed, or an attribute is unknown, given twice, or unusable.
    """
    if not text.startswith(SCHEME):
        raise Pkcs11UriError(f"a PKCS #11 URI begins with {SCHEME}")
    path, _, query = text.removeprefix(SCHEME).partition("?")
    found = dict(_attributes(path, ";", _PATH)) | dict(_attributes(query, "&", _QUERY))
    if found.pop("type", b"private") != b"private":
        raise Pkcs11UriError("type: must be private, because the URI names a private key")
    identifier = found.pop("id", None)
    texts = {name: _text(name, raw) for name, raw in found.items()}
    slot = texts.pop("slot-id", None)
    return Pkcs11Uri(
        id=identifier,
        slot_id=None if slot is None else _number("slot-id", slot),
        module_path=_file("module-path", texts.pop("module-path", None)),
        pin_source=_file("pin-source", texts.pop("pin-source", None)),
        **texts,
    )


def _attributes(part: str, separator: str, known: dict[str, int]) -> Iterator[tuple[str, bytes]]:
    seen: set[str] = set()
    for attribute in part.split(separator) if part else []:
        name, equals, value = attribute.partition("=")
        if not equals:
            raise Pkcs11UriError("a part is not an attribute (name=value)")
        if name in seen:
            raise Pkcs11UriError(f"{name} is given twice")
        seen.add(name)
        if reason := _REFUSED.get(name) or _misplaced(name, known):
            raise Pkcs11UriError(f"{name}: {reason}")
        if not value or not re.fullmatch(_VALUE[separator], value):
            raise Pkcs11UriError(f"{name}: its value is empty or not percent-encoded")
        raw = unquote_to_bytes(value)
        if len(raw) > known[name]:
            raise Pkcs11UriError(f"{name}: has {len(raw)} bytes, at most {known[name]} fit")
        yield name, raw


def _misplaced(name: str, known: dict[str, int]) -> str:
    if name in known:
        return ""
    if name in _PATH:
        return "is after the question mark, but must be before it"
    if name in _QUERY:
        return "is before the question mark, but must be after it"
    return f"unknown attribute; known here: {', '.join(known)}"


def _text(name: str, raw: bytes) -> str:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise Pkcs11UriError(f"{name}: is not UTF-8") from None
    if "\0" in text:
        raise Pkcs11UriError(f"{name}: holds a zero byte")
    return text


def _number(name: str, text: str) -> int:
    if not re.fullmatch("[0-9]{1,20}", text) or int(text) >= 2**64:
        raise Pkcs11UriError(f"{name}: is not a number of 0 to 2**64 - 1")
    return int(text)


def _file(name: str, text: str | None) -> Path | None:
    if text is None:
        return None
    path = text.removeprefix("file://").removeprefix("file:")
    if not path.startswith("/"):
        raise Pkcs11UriError(f"{name}: is not an absolute path")
    return Path(path)
