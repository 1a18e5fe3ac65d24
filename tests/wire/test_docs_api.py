"""The page of the Python API: its program runs, and it names all that there is."""

import re
from pathlib import Path
from typing import Final

import pytest

import device
import factory
import pytest_firstboot
from device import Device
from factory import Registry, Station, Thing
from pytest_firstboot import LocalAWS
from tests.wire.conftest import ROOT

pytestmark = pytest.mark.wire

PAGE: Final = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
BLOCKS: Final = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_program_of_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    try:
        for block in BLOCKS:
            exec(compile(block, "docs/api.md", "exec"), names)  # noqa: S102 - our own page
    finally:
        if isinstance(started := names.get("aws"), LocalAWS):
            started.stop()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("package", [device, factory, pytest_firstboot], ids=lambda p: p.__name__)
def test_every_public_name_is_there_and_on_a_page(package: object) -> None:
    names = package.__all__  # type: ignore[attr-defined] # a module
    assert [name for name in names if not hasattr(package, name)] == []
    known = PAGE + (ROOT / "docs" / "testing-devices.md").read_text(encoding="utf-8")
    assert [name for name in names if f"`{name}" not in known and name != "Fault"] == []


@pytest.mark.parametrize("public", [Device, Station, Registry, Thing, LocalAWS])
def test_every_method_is_on_the_page(public: type) -> None:
    names = [name for name in vars(public) if not name.startswith("_")]
    assert [name for name in names if not re.search(rf"\b{name}\b", PAGE)] == []
