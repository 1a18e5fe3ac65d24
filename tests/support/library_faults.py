"""Put a function of ours in front of one of a real PKCS #11 library, for everybody in the process.

The library's list of functions lies in memory that may be written; awscrt and this project's
binding both call through it.
"""

import ctypes as c
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from device.storage.element.cryptoki_library import FunctionList, open_library

Function = Callable[..., int]


@contextmanager
def in_front_of(
    module_path: Path, name: str, replacement: Callable[[Function], Function]
) -> Iterator[None]:
    """Call ``replacement(original)`` instead of the library's ``name``, e.g. ``C_Sign``."""
    functions = open_library(module_path)
    entry = c.c_void_p.from_address(c.addressof(functions) + getattr(FunctionList, name).offset)
    address = entry.value
    fields: Any = FunctionList._fields_
    prototype = _raw(dict(fields)[name])
    callback = prototype(replacement(prototype(address)))
    entry.value = c.cast(callback, c.c_void_p).value
    try:
        yield
    finally:
        entry.value = address


def _raw(prototype: Any) -> Any:
    """Return a prototype that hands over addresses, where ctypes would copy text."""
    arguments = (c.c_void_p if each is c.c_char_p else each for each in prototype._argtypes_)
    return c.CFUNCTYPE(prototype._restype_, *arguments)


def close_all_sessions(module_path: Path, slot: int) -> None:
    """Do what a token does that is pulled and put back: no session of this process is left."""
    _call(module_path, "C_CloseAllSessions", c.c_ulong(slot))


def log_out(module_path: Path, session: int) -> None:
    """Do what no library of this process may: log everybody out."""
    _call(module_path, "C_Logout", c.c_ulong(session))


def finalize(module_path: Path) -> None:
    """Do what no library of this process may: finalise the module under everybody."""
    _call(module_path, "C_Finalize", c.c_void_p(None))


def _call(module_path: Path, name: str, argument: c.c_ulong | c.c_void_p) -> None:
    functions = open_library(module_path)
    code = c.CFUNCTYPE(c.c_ulong, type(argument))(getattr(functions, name))(argument)
    assert code == 0, f"{name}: {code:#x}"
