"""msgspec looks into a type when it is used first, and crashes if two threads do so at once.

Found with 50 devices that were switched on in one instant (msgspec 0.22: a segmentation fault). A
``Decoder`` is made while its module is imported, and Python lets one thread import a module.
"""

import ast
from pathlib import Path

import pytest

DEVICE = Path(__file__).parents[2] / "device"
CONVERTS = {
    "device/config/settings.py": 2,  # under a lock; the second finds a type of the first
    "device/storage/roots/root_plan.py": 1,  # where a device is made or moved: one thread
}


def calls(file: Path, function: str) -> list[ast.Call]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    found = (each for each in ast.walk(tree) if isinstance(each, ast.Call))
    return [each for each in found if ast.unparse(each.func).endswith(function)]


FILES = sorted(DEVICE.rglob("*.py"))


@pytest.mark.parametrize("function", ["json.decode", "msgpack.decode"])
def test_a_type_is_not_looked_into_at_a_decode(function: str) -> None:
    typed = [
        f"{file}: {ast.unparse(call)}"
        for file in FILES
        for call in calls(file, function)
        if any(each.arg == "type" for each in call.keywords)
    ]
    assert typed == []


def test_who_converts_is_known() -> None:
    found = {
        str(file.relative_to(DEVICE.parent)): len(each)
        for file in FILES
        if (each := calls(file, "msgspec.convert"))
    }
    assert found == CONVERTS
