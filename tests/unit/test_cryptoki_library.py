"""Is a library that is no usable PKCS #11 module refused for what it is?"""

import _ctypes
from pathlib import Path
from types import SimpleNamespace

import pytest

from device.errors.element import MODULE_ARCHITECTURE, MODULE_INTERFACE, NO_MODULE
from device.storage.element.cryptoki import Module
from device.storage.element.cryptoki_library import FunctionList, functions_in, open_library
from tests.support.errors import raises

LIBRARY = Path(_ctypes.__file__)
"""A shared library of this machine that has nothing to do with PKCS #11."""


def test_a_path_that_leads_nowhere() -> None:
    with raises(NO_MODULE, match=r"/no/such\.so does not exist"):
        open_library(Path("/no/such.so"))


def test_a_file_that_is_no_library(tmp_path: Path) -> None:
    path = tmp_path / "module.so"
    path.write_text("not a library")
    with raises(NO_MODULE, match="cannot be loaded"):
        Module.load(path)


def test_a_folder_is_no_library(tmp_path: Path) -> None:
    with raises(NO_MODULE, match="cannot be read"):
        open_library(tmp_path)


def test_a_library_for_something_else() -> None:
    with raises(NO_MODULE, match="is a library, but not a PKCS #11 module"):
        open_library(LIBRARY)


@pytest.mark.parametrize(("at", "value"), [(4, 1), (18, 0xF3)], ids=["32 bits", "RISC-V"])
def test_a_library_for_another_processor(tmp_path: Path, at: int, value: int) -> None:
    content = bytearray(LIBRARY.read_bytes())
    if content[:4] != b"\x7fELF":
        pytest.skip("only ELF says for which processor it is")
    content[at] = value
    path = tmp_path / "module.so"
    path.write_bytes(content)
    with raises(MODULE_ARCHITECTURE, match="built for another processor"):
        open_library(path)


def test_a_module_of_the_3x_interface_alone() -> None:
    library = SimpleNamespace(C_GetInterface=lambda *_: 0)
    with raises(MODULE_INTERFACE, match=r"offers PKCS #11 3.x only; 2.20 to 2.x"):
        functions_in(library, Path("/x.so"))


class Entrance:
    """``C_GetFunctionList`` of a module that claims a version, or fails."""

    def __init__(self, major: int, minor: int, code: int = 0) -> None:
        self._list = FunctionList()
        self._list.version.major, self._list.version.minor = major, minor
        self._code = code

    def __call__(self, where: "object") -> int:
        where._obj.contents = self._list  # type: ignore[attr-defined]  # what byref points at
        return self._code


@pytest.mark.parametrize(("major", "minor"), [(3, 0), (2, 11), (1, 0)])
def test_a_module_of_a_version_that_awscrt_refuses(major: int, minor: int) -> None:
    library = SimpleNamespace(C_GetFunctionList=Entrance(major, minor))
    with raises(MODULE_INTERFACE, match=f"offers PKCS #11 {major}.{minor}"):
        functions_in(library, Path("/x.so"))


@pytest.mark.parametrize("minor", [20, 30, 40])
def test_a_module_of_a_version_that_awscrt_takes(minor: int) -> None:
    library = SimpleNamespace(C_GetFunctionList=Entrance(2, minor))
    assert functions_in(library, Path("/x.so")).version.minor == minor


def test_a_module_that_does_not_name_its_functions() -> None:
    library = SimpleNamespace(C_GetFunctionList=Entrance(2, 40, code=5))
    with raises(NO_MODULE, match="does not list its functions"):
        functions_in(library, Path("/x.so"))
