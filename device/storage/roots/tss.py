"""tpm2-tss by ctypes: a connection to a TPM 2.0 and the calls of its ESAPI that are used here.

A binding of our own, since tpm2-pytss has no wheels: a device would need a compiler and headers
(docs/adr/0016-tpm-anchor-hash-chain.md). The delicate part, sessions with HMACs and encrypted
parameters, is the library's. No C structure is declared here: the library itself makes them
from the bytes that the TCG's TPM 2.0 Library, part 2, defines, in room enough for any of them.
Functions and types: tss2_esys.h, of the TCG's TSS 2.0 Enhanced System API.
"""

import ctypes as c
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from device.errors import FirstbootError
from device.errors.root_of_trust import (
    OTHER_TPM,
    TPM,
    TPM_FULL,
    TPM_LOCKED,
    TPM_MISSING,
    TPM_OCCUPIED,
    TPM_OWNER,
    TPM_SUPPORT_MISSING,
)

NONE: Final = 0xFFF  # ESYS_TR_NONE
PASSWORD: Final = 0x0FF  # ESYS_TR_PASSWORD
OWNER: Final = 0x101  # ESYS_TR_RH_OWNER

AUTH_FAIL: Final = 0x08E
HANDLE: Final = 0x08B
BAD_AUTH: Final = 0x0A2
NV_UNINITIALIZED: Final = 0x14A
_ERRORS: Final = {
    0x09F: OTHER_TPM,  # TPM_RC_INTEGRITY
    0x14B: TPM_FULL,  # TPM_RC_NV_SPACE
    0x902: TPM_OCCUPIED,  # TPM_RC_OBJECT_MEMORY
    0x903: TPM_OCCUPIED,  # TPM_RC_SESSION_MEMORY
    0x904: TPM_OCCUPIED,  # TPM_RC_MEMORY
    0x905: TPM_OCCUPIED,  # TPM_RC_SESSION_HANDLES
    0x906: TPM_OCCUPIED,  # TPM_RC_OBJECT_HANDLES
    0x921: TPM_LOCKED,  # TPM_RC_LOCKOUT
    BAD_AUTH: TPM_OWNER,  # what is not found by a password of ours is the owner's
}
_LAYERS: Final = 0xFF_0000  # 0 is the chip itself; tss2_common.h
_TCTI: Final = 0x0A_0000

_ROOM: Final = 8192
_LIBRARIES: Final = ("libtss2-esys.so.0", "libtss2-mu.so.0", "libtss2-tctildr.so.0")
_POINTER, _U8, _U16, _U32 = c.c_void_p, c.c_uint8, c.c_uint16, c.c_uint32
_OBJECT: Final = (_U32, _U32, _U32, _U32)
"""A handle, and up to three sessions."""
_ARGUMENTS: Final[dict[str, tuple[type, ...]]] = {
    "CreatePrimary": (*_OBJECT, *(_POINTER,) * 9),
    "Create": (*_OBJECT, *(_POINTER,) * 9),
    "Load": (*_OBJECT, *(_POINTER,) * 3),
    "Unseal": (*_OBJECT, _POINTER),
    "FlushContext": (_U32,),
    "StartAuthSession": (_U32, *_OBJECT, _POINTER, _U8, _POINTER, _U16, _POINTER),
    "TRSess_SetAttributes": (_U32, _U8, _U8),
    "TR_FromTPMPublic": (*_OBJECT, _POINTER),
    "TR_SetAuth": (_U32, _POINTER),
    "NV_DefineSpace": (*_OBJECT, *(_POINTER,) * 3),
    "NV_Read": (_U32, *_OBJECT, _U16, _U16, _POINTER),
    "NV_Extend": (_U32, *_OBJECT, _POINTER),
    "NV_UndefineSpace": (_U32, *_OBJECT),
}
"""What the functions take behind the context."""

Structure = c.Array[c.c_char]


class Tss:
    """One connection to a TPM."""

    def __init__(self, tcti: str) -> None:
        """Connect to the TPM behind ``tcti``, e.g. ``device:/dev/tpmrm0``.

        Raises:
            TpmSupportMissingError: tpm2-tss is not installed.
            TpmMissingError: no TPM answers.
        """
        # Its own log would print each refusal that is handled here.
        os.environ.setdefault("TSS2_LOG", "all+none")
        self._esys, self._mu, self._loader = load_libraries()
        self._name = tcti
        self._tcti, self._context = c.c_void_p(), c.c_void_p()
        self._check(self._loader.Tss2_TctiLdr_Initialize(tcti.encode(), c.byref(self._tcti)))
        try:
            self._check(self._esys.Esys_Initialize(c.byref(self._context), self._tcti, None))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Release the TPM."""
        if self._context.value:
            self._esys.Esys_Finalize(c.byref(self._context))
        self._loader.Tss2_TctiLdr_Finalize(c.byref(self._tcti))

    def call(self, function: str, *arguments: object) -> None:
        """Call ``Esys_<function>`` with what it takes behind the context.

        Raises:
            RootOfTrustError, OtherTpmError: the TPM refused, or was not reached.
        """
        found = getattr(self._esys, f"Esys_{function}")
        found.argtypes = (_POINTER, *_ARGUMENTS[function])
        self._check(found(self._context, *arguments))

    def handle(self, function: str, *arguments: object) -> int:
        """Call a function whose last argument is where it puts a handle; return that."""
        made = _U32()
        self.call(function, *arguments, c.byref(made))
        return made.value

    def data(self, function: str, *arguments: object) -> bytes:
        """Call a function whose last argument is where it puts a TPM2B; return its bytes."""
        made = c.c_void_p()
        self.call(function, *arguments, c.byref(made))
        return self.bytes_of(made)

    def structure(self, kind: str, wire: bytes) -> Structure:
        """Return the C structure of the type ``kind`` that ``wire`` says."""
        made, offset = c.create_string_buffer(_ROOM), c.c_size_t()
        unmarshal = getattr(self._mu, f"Tss2_MU_{kind}_Unmarshal")
        self._check(unmarshal(wire, c.c_size_t(len(wire)), c.byref(offset), made))
        return made

    def wire(self, kind: str, pointer: c.c_void_p) -> bytes:
        """Return what a structure that the library made says, and free it."""
        made, offset = c.create_string_buffer(_ROOM), c.c_size_t()
        marshal = getattr(self._mu, f"Tss2_MU_{kind}_Marshal")
        try:
            self._check(marshal(pointer, made, c.c_size_t(_ROOM), c.byref(offset)))
        finally:
            self._esys.Esys_Free(pointer)
        return made.raw[: offset.value]

    def bytes_of(self, pointer: c.c_void_p) -> bytes:
        """Return the bytes in a TPM2B that the library made, and free it."""
        address = pointer.value or 0
        size = _U16.from_address(address).value
        try:
            return c.string_at(address + c.sizeof(_U16), size)
        finally:
            self._esys.Esys_Free(pointer)

    def _check(self, code: int) -> None:
        if code:
            raise explained(code, self._name)


@contextmanager
def connected(tcti: str) -> Iterator[Tss]:
    """Lend a connection to the TPM behind ``tcti``."""
    tss = Tss(tcti)
    try:
        yield tss
    finally:
        tss.close()


def sized(data: bytes) -> Structure:
    """Return ``data`` as one of the structures that are a size and bytes: TPM2B_AUTH, ..."""
    return c.create_string_buffer(len(data).to_bytes(2, sys.byteorder) + data, _ROOM)


def kind_of(code: int) -> int:
    """Return a response code without its layer, and without which parameter was at fault.

    TPM 2.0 Library, part 2, section 6.6.2: format one has bit 7 set.
    """
    return code & 0xBF if code & 0x80 else code & 0xFFF


def explained(code: int, tcti: str) -> FirstbootError:
    """Return the error for the response ``code`` of the TPM behind ``tcti``."""
    if code & _LAYERS == _TCTI:
        return TPM_MISSING.error(tcti=tcti, response=code)
    return _ERRORS.get(kind_of(code), TPM).error(response=code)


def load_libraries(names: Sequence[str] = _LIBRARIES) -> list[c.CDLL]:
    """Load tpm2-tss.

    Raises:
        TpmSupportMissingError: it is not installed.
    """
    try:
        return [c.CDLL(name) for name in names]
    except OSError as error:
        raise TPM_SUPPORT_MISSING.error(f"tpm2-tss is not installed: {error}") from None
