"""A TPM 2.0: sealing, and a chain in its NV memory.

Names and rules are those of the TCG's TPM 2.0 Library, parts 2 and 3. A connection lasts for
one call, so that several processes can share a TPM that has no resource manager. Secrets cross
the wires to the chip encrypted (a session salted with the storage key), and what the chain
holds is vouched for by the chip (a session keyed with the chain's own secret). No object here
counts as a guess when it is refused (``noDA``): other people's wrong passwords lock others.
"""

import ctypes as c
import secrets
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from device.errors.root_of_trust import TpmError
from device.errors.storage import StorageError
from device.storage.roots.tss import (
    AUTH_FAIL,
    BAD_AUTH,
    HANDLE,
    NONE,
    NV_UNINITIALIZED,
    OWNER,
    PASSWORD,
    Tss,
    connected,
    kind_of,
    sized,
)

_INDICES: Final = range(0x0190_0000, 0x01C0_0000)
"""For owners, and above what installers and tools usually take (TCG registry of handles)."""

_FIXED: Final = 0x02 | 0x10 | 0x40 | 0x400
"""TPMA_OBJECT: fixedTPM, fixedParent, userWithAuth, noDA."""
_STORAGE: Final = _FIXED | 0x20 | 0x1_0000 | 0x2_0000
"""Also: sensitiveDataOrigin, restricted, decrypt."""
_CHAIN: Final = 0x04 | 0x40 | 0x4_0000 | 0x200_0000
"""TPMA_NV: AUTHWRITE, TPM_NT_EXTEND, AUTHREAD, NO_DA."""
_SHA256, _AES, _CFB, _NULL, _P256 = 0x0B, 0x06, 0x43, 0x10, 0x03
_AES128: Final = struct.pack(">3H", _AES, 128, _CFB)
_HMAC_SESSION: Final = 0
_ENCRYPTED: Final = 0x20 | 0x40
"""TPMA_SESSION: decrypt, encrypt; without continueSession it ends with the command."""
_BYTES: Final = 32


def _sized(wire: bytes) -> bytes:
    return struct.pack(">H", len(wire)) + wire


_STORAGE_KEY: Final = _sized(
    struct.pack(">2HIH", 0x23, _SHA256, _STORAGE, 0)  # TPM_ALG_ECC
    + _AES128
    + struct.pack(">5H", _NULL, _P256, _NULL, 0, 0)
)
_SEALED: Final = _sized(struct.pack(">2HI3H", 0x08, _SHA256, _FIXED, 0, _NULL, 0))
"""TPM2B_PUBLIC of type TPM_ALG_KEYEDHASH."""


class Tpm2:
    """The `tpm_root.Tpm` behind ``tcti``, e.g. ``device:/dev/tpmrm0``."""

    def __init__(self, tcti: str) -> None:
        """Connect when first used."""
        self.tcti: Final = tcti

    def seal(self, secret: bytes) -> bytes:
        private, public = c.c_void_p(), c.c_void_p()
        with connected(self.tcti) as tss, _storage_key(tss) as (parent, session):
            content = tss.structure("TPM2B_SENSITIVE_CREATE", _sized(_sized(b"") + _sized(secret)))
            template = tss.structure("TPM2B_PUBLIC", _SEALED)
            nothing, outputs = sized(b""), (c.byref(private), c.byref(public), None, None, None)
            sessions = (session, NONE, NONE)
            tss.call("Create", parent, *sessions, content, template, nothing, nothing, *outputs)
            return tss.wire("TPM2B_PUBLIC", public) + _sized(tss.bytes_of(private))

    def unseal(self, blob: bytes) -> bytes:
        size = 2 + int.from_bytes(blob[:2], "big")
        with connected(self.tcti) as tss, _storage_key(tss) as (parent, session):
            public = tss.structure("TPM2B_PUBLIC", blob[:size])
            private = sized(blob[size + 2 :])
            loaded = tss.handle("Load", parent, PASSWORD, NONE, NONE, private, public)
            with _flushed(tss, loaded):
                return tss.data("Unseal", loaded, session, NONE, NONE)

    def new_index(self) -> int:
        return secrets.choice(_INDICES)

    def begin_chain(self, index: int, auth: bytes) -> None:
        wire = struct.pack(">IHIHH", index, _SHA256, _CHAIN, 0, _BYTES)
        with connected(self.tcti) as tss, _storage_key(tss) as (_, session):
            public = tss.structure("TPM2B_NV_PUBLIC", _sized(wire))
            tss.handle("NV_DefineSpace", OWNER, session, NONE, NONE, sized(auth), public)
        self.extend_chain(index, auth, secrets.token_bytes(_BYTES))

    def read_chain(self, index: int, auth: bytes) -> bytes | None:
        with connected(self.tcti) as tss:
            return _chain_in(tss, index, auth)

    def extend_chain(self, index: int, auth: bytes, link: bytes) -> None:
        with connected(self.tcti) as tss, _session(tss) as session:
            chain = _opened(tss, index, auth)
            tss.call("NV_Extend", chain, chain, session, NONE, NONE, sized(link))

    def remove_chain(self, index: int, auth: bytes) -> None:
        with connected(self.tcti) as tss:
            if _chain_in(tss, index, auth) is not None:
                chain = _opened(tss, index, auth)
                tss.call("NV_UndefineSpace", OWNER, chain, PASSWORD, NONE, NONE)


def _chain_in(tss: Tss, index: int, auth: bytes) -> bytes | None:
    try:
        chain = _opened(tss, index, auth)
        with _session(tss) as session:
            return tss.data("NV_Read", chain, chain, session, NONE, NONE, _BYTES, 0)
    except TpmError as error:
        kind = kind_of(error.response)
        if kind == NV_UNINITIALIZED:
            return b""
        if kind in {HANDLE, BAD_AUTH, AUTH_FAIL}:
            return None  # there is no such index, or it is someone else's
        raise


def _opened(tss: Tss, index: int, auth: bytes) -> int:
    chain = tss.handle("TR_FromTPMPublic", index, NONE, NONE, NONE)
    tss.call("TR_SetAuth", chain, sized(auth))
    return chain


@contextmanager
def _storage_key(tss: Tss) -> Iterator[tuple[int, int]]:
    """Lend the storage key, and a session that hides what crosses the wires."""
    content = tss.structure("TPM2B_SENSITIVE_CREATE", _sized(bytes(4)))
    template = tss.structure("TPM2B_PUBLIC", _STORAGE_KEY)
    made, nothing = c.c_uint32(), sized(b"")
    tss.call(
        "CreatePrimary", OWNER, PASSWORD, NONE, NONE, content, template, nothing, nothing,
        c.byref(made), None, None, None, None,
    )  # fmt: skip
    with _flushed(tss, made.value), _session(tss, made.value, _ENCRYPTED) as session:
        yield made.value, session


@contextmanager
def _session(tss: Tss, salted_by: int = NONE, attributes: int = 0) -> Iterator[int]:
    """Lend a session for one command; the chip drops it afterwards, we after a failure."""
    symmetric = tss.structure("TPMT_SYM_DEF", _AES128)
    nobody = (NONE, NONE, NONE)
    kind = (None, _HMAC_SESSION, symmetric, _SHA256)
    session = tss.handle("StartAuthSession", salted_by, NONE, *nobody, *kind)
    try:
        tss.call("TRSess_SetAttributes", session, attributes, 0xFF)
        yield session
    except BaseException:
        with suppress(StorageError):
            tss.call("FlushContext", session)
        raise


@contextmanager
def _flushed(tss: Tss, handle: int) -> Iterator[None]:
    """Free an object's slot in the chip afterwards: there are three."""
    try:
        yield
    finally:
        tss.call("FlushContext", handle)
