"""Put a function of ours in front of one of a real PKCS #11 library, for everybody in the process.

The library's list of functions lies in memory that may be written; awscrt and this project's
binding both call through it.
"""

import ctypes as c
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from device.storage.cryptoki_library import FunctionList, open_library

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
