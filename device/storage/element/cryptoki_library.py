"""A PKCS #11 library as it lies in memory: its structures, its functions, whether it is one."""

import ctypes as c
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from device.errors.element import MODULE_ARCHITECTURE, MODULE_INTERFACE, NO_MODULE


class _Version(c.Structure):
    _fields_ = (("major", c.c_ubyte), ("minor", c.c_ubyte))


class InitializeArguments(c.Structure):
    """``CK_C_INITIALIZE_ARGS``: four mutex callbacks that we leave to the system, and flags."""

    _fields_ = (("callbacks", c.c_void_p * 4), ("flags", c.c_ulong), ("reserved", c.c_void_p))


class LibraryInfo(c.Structure):
    """``CK_INFO``."""

    _fields_ = (
        ("cryptoki_version", _Version),
        ("manufacturer", c.c_char * 32),
        ("flags", c.c_ulong),
        ("description", c.c_char * 32),
        ("library_version", _Version),
    )


class TokenRecord(c.Structure):
    """``CK_TOKEN_INFO``."""

    _fields_ = (
        ("label", c.c_char * 32),
        ("manufacturer", c.c_char * 32),
        ("model", c.c_char * 16),
        ("serial", c.c_char * 16),
        ("flags", c.c_ulong),
        ("counts_and_sizes", c.c_ulong * 10),
        ("hardware_version", _Version),
        ("firmware_version", _Version),
        ("utc_time", c.c_char * 16),
    )


class MechanismInfo(c.Structure):
    """``CK_MECHANISM_INFO``; sizes in bits."""

    _fields_ = (("min_key_size", c.c_ulong), ("max_key_size", c.c_ulong), ("flags", c.c_ulong))


class MechanismParameters(c.Structure):
    """``CK_MECHANISM``."""

    _fields_ = (("mechanism", c.c_ulong), ("parameter", c.c_void_p), ("size", c.c_ulong))


class SessionInfo(c.Structure):
    """``CK_SESSION_INFO``."""

    _fields_ = (
        ("slot", c.c_ulong),
        ("state", c.c_ulong),
        ("flags", c.c_ulong),
        ("device_error", c.c_ulong),
    )


class TemplateEntry(c.Structure):
    """``CK_ATTRIBUTE``."""

    _fields_ = (("attribute", c.c_ulong), ("value", c.c_void_p), ("size", c.c_ulong))


_ULONG: Final = c.c_ulong
_ULONGS: Final = c.POINTER(c.c_ulong)
_TEMPLATE: Final = c.POINTER(TemplateEntry)
_MECHANISM: Final = c.POINTER(MechanismParameters)
_BYTES: Final = c.c_char_p

_ORDER: Final = """
    Initialize Finalize GetInfo GetFunctionList GetSlotList GetSlotInfo GetTokenInfo
    GetMechanismList GetMechanismInfo InitToken InitPIN SetPIN OpenSession CloseSession
    CloseAllSessions GetSessionInfo GetOperationState SetOperationState Login Logout
    CreateObject CopyObject DestroyObject GetObjectSize GetAttributeValue SetAttributeValue
    FindObjectsInit FindObjects FindObjectsFinal EncryptInit Encrypt EncryptUpdate EncryptFinal
    DecryptInit Decrypt DecryptUpdate DecryptFinal DigestInit Digest DigestUpdate DigestKey
    DigestFinal SignInit Sign SignUpdate SignFinal SignRecoverInit SignRecover VerifyInit Verify
    VerifyUpdate VerifyFinal VerifyRecoverInit VerifyRecover DigestEncryptUpdate
    DecryptDigestUpdate SignEncryptUpdate DecryptVerifyUpdate GenerateKey GenerateKeyPair
    WrapKey UnwrapKey DeriveKey SeedRandom GenerateRandom GetFunctionStatus CancelFunction
    WaitForSlotEvent
"""
"""``CK_FUNCTION_LIST`` in the order of the standard (pkcs11f.h)."""

_ARGUMENTS: Final[dict[str, tuple[type, ...]]] = {
    "Initialize": (c.POINTER(InitializeArguments),),
    "GetInfo": (c.POINTER(LibraryInfo),),
    "GetSlotList": (c.c_ubyte, _ULONGS, _ULONGS),
    "GetTokenInfo": (_ULONG, c.POINTER(TokenRecord)),
    "GetMechanismInfo": (_ULONG, _ULONG, c.POINTER(MechanismInfo)),
    "InitToken": (_ULONG, _BYTES, _ULONG, _BYTES),
    "InitPIN": (_ULONG, _BYTES, _ULONG),
    "OpenSession": (_ULONG, _ULONG, c.c_void_p, c.c_void_p, _ULONGS),
    "CloseSession": (_ULONG,),
    "GetSessionInfo": (_ULONG, c.POINTER(SessionInfo)),
    "Login": (_ULONG, _ULONG, _BYTES, _ULONG),
    "DestroyObject": (_ULONG, _ULONG),
    "GetAttributeValue": (_ULONG, _ULONG, _TEMPLATE, _ULONG),
    "FindObjectsInit": (_ULONG, _TEMPLATE, _ULONG),
    "FindObjects": (_ULONG, _ULONGS, _ULONG, _ULONGS),
    "FindObjectsFinal": (_ULONG,),
    "SignInit": (_ULONG, _MECHANISM, _ULONG),
    "Sign": (_ULONG, _BYTES, _ULONG, _BYTES, _ULONGS),
    "GenerateKey": (_ULONG, _MECHANISM, _TEMPLATE, _ULONG, _ULONGS),
    "GenerateKeyPair": (_ULONG, _MECHANISM, *(_TEMPLATE, _ULONG) * 2, _ULONGS, _ULONGS),
}
"""The functions that are called here; the others stay bare addresses."""


def _fields() -> Iterator[tuple[str, type]]:
    yield "version", _Version
    for name in _ORDER.split():
        arguments = _ARGUMENTS.get(name)
        typed = c.c_void_p if arguments is None else c.CFUNCTYPE(c.c_ulong, *arguments)
        yield f"C_{name}", typed


class FunctionList(c.Structure):
    """``CK_FUNCTION_LIST``."""

    _fields_ = tuple(_fields())


def open_library(path: Path) -> FunctionList:
    """Return the functions of the PKCS #11 library at ``path``; it is not initialised yet.

    Raises:
        NoModuleError: there is no file, or it is no library, or no PKCS #11 library.
        ModuleArchitectureError: it is built for another processor.
        ModuleInterfaceError: it does not offer version 2.20 to 2.x, which awscrt needs too.
    """
    return functions_in(_open(path), path)


def functions_in(library: object, path: Path) -> FunctionList:
    """Return the functions of an open ``library``; see `open_library`."""
    functions = c.POINTER(FunctionList)()
    try:
        entrance = library.C_GetFunctionList  # type: ignore[attr-defined]  # as dlsym finds it
    except AttributeError:
        if hasattr(library, "C_GetInterface"):
            raise MODULE_INTERFACE.error(path=path, version="3.x only") from None
        raise NO_MODULE.error("is a library, but not a PKCS #11 module", path=path) from None
    entrance.restype = c.c_ulong
    code = entrance(c.byref(functions))
    if code:
        raise NO_MODULE.error(f"does not list its functions (CKR {code:#x})", path=path)
    version = functions.contents.version
    if version.major != 2 or version.minor < 20:
        raise MODULE_INTERFACE.error(path=path, version=f"{version.major}.{version.minor}")
    return functions.contents


def _open(path: Path) -> c.CDLL:
    header, ours = _elf_header(path), _elf_header(Path(sys.executable))
    if header and ours and header != ours:
        raise MODULE_ARCHITECTURE.error(path=path)
    try:
        return c.CDLL(str(path))
    except OSError as error:
        raise NO_MODULE.error(f"cannot be loaded: {error}", path=path) from None


def _elf_header(path: Path) -> tuple[int, bytes] | None:
    """Return word size and processor of an ELF file (elf(5): EI_CLASS, e_machine), or None."""
    try:
        with path.open("rb") as file:
            start = file.read(20)
    except FileNotFoundError:
        raise NO_MODULE.error("does not exist", path=path) from None
    except OSError as error:
        raise NO_MODULE.error(f"cannot be read: {error.strerror}", path=path) from None
    return (start[4], start[18:20]) if start[:4] == b"\x7fELF" and len(start) == 20 else None
