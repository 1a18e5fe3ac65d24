"""PKCS #11 v2.40 through ctypes: the calls that this device makes, typed, and nothing else.

Why a binding of our own (docs/adr/0010-own-pkcs11-binding.md): the module's state is shared
with awscrt, which signs through it during TLS handshakes. ``python-pkcs11`` initialises the
module without locks and crashes under awscrt, and logs out when it closes; ``PyKCS11``
finalises the module in its destructor, is GPL, untyped, and has no wheel for aarch64.

The rules of the process, which this page keeps: one `Module` a library and process; locks by
the operating system; never ``C_Finalize`` and never ``C_Logout``, which would cut awscrt off
as well; no use after a fork.
"""

import ctypes as c
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from device.errors.element import CryptokiError
from device.storage.element.cryptoki_codes import (
    CKF_OS_LOCKING_OK,
    CKF_RW_SESSION,
    CKF_SERIAL_SESSION,
    CKS_RW_USER_FUNCTIONS,
    CKU_SO,
    CKU_USER,
    Attribute,
    Mechanism,
    ReturnValue,
    TokenFlag,
)
from device.storage.element.cryptoki_library import (
    FunctionList,
    InitializeArguments,
    LibraryInfo,
    MechanismInfo,
    MechanismParameters,
    SessionInfo,
    TemplateEntry,
    TokenRecord,
    open_library,
)

Template = Mapping[Attribute, bytes | int]
"""Attributes to match or to set; an int is a CK_ULONG, a bool a CK_BBOOL."""

_MAX_VALUE: Final = 4096  # bytes; RSA-4096 needs 512
_MAX_FOUND: Final = 64

_modules: Final[dict[Path, "Module"]] = {}
_modules_lock: Final = threading.Lock()


@dataclass(frozen=True)
class TokenInfo:
    """What a token says of itself; texts without their padding."""

    slot_id: int
    label: str
    manufacturer: str
    model: str
    serial: str
    flags: TokenFlag


class Module:
    """One PKCS #11 library in this process; make it with `load`. Safe to use from any thread."""

    def __init__(self, path: Path) -> None:
        """Open and initialise the library.

        Raises:
            NoModuleError, ModuleArchitectureError, ModuleInterfaceError: it cannot be used.
            CryptokiError: it does not initialise.
        """
        self.path = path
        self._process: Final = os.getpid()
        self._functions: Final[FunctionList] = open_library(path)
        self.initialize()

    @classmethod
    def load(cls, path: Path) -> "Module":
        """Return the one module for ``path`` in this process."""
        with _modules_lock:
            key = path.resolve()
            if key not in _modules:
                _modules[key] = cls(path)
            return _modules[key]

    def initialize(self) -> None:
        """Initialise the library unless someone did: awscrt, or this process before."""
        arguments = InitializeArguments(flags=CKF_OS_LOCKING_OK)
        try:
            self._call("C_Initialize", c.byref(arguments))
        except CryptokiError as error:
            if error.return_value != ReturnValue.CRYPTOKI_ALREADY_INITIALIZED:
                raise

    @property
    def manufacturer(self) -> str:
        """Who made the library, as it says itself."""
        info = LibraryInfo()
        self._call("C_GetInfo", c.byref(info))
        return _text(info.manufacturer)

    def slots(self, *, with_token: bool = True) -> list[int]:
        """Return the ids of all slots, by default of those that hold a token."""
        count = c.c_ulong()
        self._call("C_GetSlotList", with_token, None, c.byref(count))
        found = (c.c_ulong * (count.value + 1))()
        count.value += 1
        self._call("C_GetSlotList", with_token, found, c.byref(count))
        return list(found[: count.value])

    def token_info(self, slot: int) -> TokenInfo:
        """Return what the token in ``slot`` says of itself."""
        info = TokenRecord()
        self._call("C_GetTokenInfo", slot, c.byref(info))
        return TokenInfo(
            slot_id=slot,
            label=_text(info.label),
            manufacturer=_text(info.manufacturer),
            model=_text(info.model),
            serial=_text(info.serial),
            flags=TokenFlag(info.flags),
        )

    def key_sizes(self, slot: int, mechanism: Mechanism) -> range | None:
        """Return the key sizes in bits that ``mechanism`` takes; None where it is missing."""
        info = MechanismInfo()
        try:
            self._call("C_GetMechanismInfo", slot, mechanism, c.byref(info))
        except CryptokiError as error:
            if error.return_value == ReturnValue.MECHANISM_INVALID:
                return None
            raise
        return range(info.min_key_size, info.max_key_size + 1)

    def init_token(self, slot: int, label: str, so_pin: str) -> None:
        """Erase the token in ``slot`` and give it a label and a security officer's PIN."""
        pin = so_pin.encode()
        self._call("C_InitToken", slot, pin, len(pin), label.encode().ljust(32))

    def init_pin(self, session: int, pin: str) -> None:
        """Set the user's PIN; the security officer must be logged in."""
        self._call("C_InitPIN", session, pin.encode(), len(pin.encode()))

    def open_session(self, slot: int) -> int:
        """Open a read-write session."""
        session = c.c_ulong()
        flags = CKF_SERIAL_SESSION | CKF_RW_SESSION
        self._call("C_OpenSession", slot, flags, None, None, c.byref(session))
        return session.value

    def close_session(self, session: int) -> None:
        """Close a session. With the last one of a process, its login ends."""
        self._call("C_CloseSession", session)

    def login(self, session: int, pin: str, *, as_security_officer: bool = False) -> None:
        """Log the whole process in."""
        user = CKU_SO if as_security_officer else CKU_USER
        self._call("C_Login", session, user, pin.encode(), len(pin.encode()))

    def is_logged_in(self, session: int) -> bool:
        """Return whether the user is logged in; else private objects cannot even be seen."""
        info = SessionInfo()
        self._call("C_GetSessionInfo", session, c.byref(info))
        return bool(info.state == CKS_RW_USER_FUNCTIONS)

    def find(self, session: int, template: Template) -> list[int]:
        """Return handles of the objects that match, at most 64."""
        found, count = (c.c_ulong * _MAX_FOUND)(), c.c_ulong()
        with _attributes(template) as (entries, size):
            self._call("C_FindObjectsInit", session, entries, size)
        try:
            self._call("C_FindObjects", session, found, _MAX_FOUND, c.byref(count))
        finally:
            self._call("C_FindObjectsFinal", session)
        return list(found[: count.value])

    def attribute(self, session: int, handle: int, attribute: Attribute) -> bytes:
        """Return the value of one attribute."""
        buffer = c.create_string_buffer(_MAX_VALUE)
        entry = TemplateEntry(attribute, c.cast(buffer, c.c_void_p), _MAX_VALUE)
        self._call("C_GetAttributeValue", session, handle, c.byref(entry), 1)
        return buffer.raw[: entry.size]

    def generate_key(self, session: int, mechanism: Mechanism, template: Template) -> int:
        """Make a secret key in the token; return its handle."""
        handle, order = c.c_ulong(), MechanismParameters(mechanism, None, 0)
        with _attributes(template) as (entries, size):
            made = c.byref(handle)
            self._call("C_GenerateKey", session, c.byref(order), entries, size, made)
        return handle.value

    def generate_key_pair(
        self, session: int, mechanism: Mechanism, public: Template, private: Template
    ) -> tuple[int, int]:
        """Make a key pair in the token; return the handles of its public and private half."""
        handles, order = (c.c_ulong(), c.c_ulong()), MechanismParameters(mechanism, None, 0)
        with _attributes(public) as of_public, _attributes(private) as of_private:
            made = (c.byref(handles[0]), c.byref(handles[1]))
            self._call("C_GenerateKeyPair", session, c.byref(order), *of_public, *of_private, *made)
        return handles[0].value, handles[1].value

    def sign(self, session: int, key: int, mechanism: Mechanism, data: bytes) -> bytes:
        """Sign ``data`` as it is; no other thread may use the session meanwhile."""
        order, size = MechanismParameters(mechanism, None, 0), c.c_ulong(_MAX_VALUE)
        buffer = c.create_string_buffer(_MAX_VALUE)
        self._call("C_SignInit", session, c.byref(order), key)
        self._call("C_Sign", session, data, len(data), buffer, c.byref(size))
        return buffer.raw[: size.value]

    def destroy(self, session: int, handle: int) -> None:
        """Destroy an object."""
        self._call("C_DestroyObject", session, handle)

    def _call(self, name: str, *arguments: object) -> None:
        """Call a function; ctypes lets other threads run meanwhile."""
        if os.getpid() != self._process:
            raise RuntimeError(f"{self.path} was loaded before a fork: start a new process instead")
        code: int = getattr(self._functions, name)(*arguments)
        if code != ReturnValue.OK:
            raise CryptokiError(name, code, _name_of(code))


@contextmanager
def _attributes(template: Template) -> Iterator[tuple["c.Array[TemplateEntry]", int]]:
    """Lend a CK_ATTRIBUTE array, whose values live as long as it is lent."""
    buffers = [c.create_string_buffer(raw, len(raw)) for raw in map(_encoded, template.values())]
    entries = (TemplateEntry * len(template))(
        *(
            TemplateEntry(attribute, c.cast(buffer, c.c_void_p), len(buffer))
            for attribute, buffer in zip(template, buffers, strict=True)
        )
    )
    yield entries, len(template)


def _encoded(value: bytes | int) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, bool):
        return bytes([value])
    return bytes(c.c_ulong(value))


def _text(padded: bytes) -> str:
    """Text is padded with blanks; some libraries pad with zeros."""
    return padded.decode("utf-8", "replace").rstrip(" \0")


def _name_of(code: int) -> str:
    try:
        return f"CKR_{ReturnValue(code).name}"
    except ValueError:
        return f"CKR {code:#x}"
