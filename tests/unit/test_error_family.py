"""Every exception class of the packages belongs to a family that tells what to do next."""

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from types import ModuleType

import pytest

import device
import device.errors
import factory
import localcloud
import localcloud.errors
from device.errors import FirstbootError
from localcloud.errors import LocalCloudError

ROOT = Path(__file__).parents[2]
PACKAGES = ("device", "factory", "localcloud")
FAMILIES = (FirstbootError, LocalCloudError)
# Not errors but news, caught where they are raised; each with where and why.
OUTSIDE = {
    "device.cli._Terminated": "becomes the StoppedError of the command",
    "device.runtime.tunnel.TunnelRefusedError": "becomes the event of a failed connection",
    "localcloud.broker.codec.MalformedError": "becomes the DISCONNECT of its connection",
    "localcloud.broker.link.EndError": "ends a connection in its own task",
    "localcloud.broker.packets.VersionError": "becomes the CONNACK that refuses the version",
    "localcloud.faults.injection._CutError": "ends a connection in its own task",
    "localcloud.gaps.certificate_provider.SigningError": "becomes the rejection of a request",
    "localcloud.gaps._support.command_status.UpdateError": "becomes the rejection of an update",
    "localcloud.gaps._support.rest.RefusedError": "becomes AWS's error reply to a REST request",
}
# MiniStack reads its settings when it is imported, and refuses all ports but loopback's then.
SERVER_ONLY = {"localcloud.cloud", "device.__main__", "factory.__main__", "localcloud.__main__"}


def modules_of(package: ModuleType) -> Iterator[ModuleType]:
    yield package
    for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if info.name not in SERVER_ONLY:
            yield importlib.import_module(info.name)


def exception_classes() -> dict[str, type[BaseException]]:
    """Return every exception class that is defined in the packages, by full name."""
    return {
        f"{found.__module__}.{found.__qualname__}": found
        for package in (device, factory, localcloud)
        for module in modules_of(package)
        for found in vars(module).values()
        if inspect.isclass(found)
        and issubclass(found, BaseException)
        and found.__module__ == module.__name__
    }


CLASSES = exception_classes()
MEMBERS = {name: found for name, found in CLASSES.items() if issubclass(found, FAMILIES)}


def test_the_walk_sees_all_three_packages() -> None:
    assert {name.partition(".")[0] for name in CLASSES} == {"device", "factory", "localcloud"}
    assert len(CLASSES) > 50


def test_every_exception_belongs_to_a_family() -> None:
    assert sorted(CLASSES.keys() - MEMBERS.keys()) == sorted(OUTSIDE)


@pytest.mark.parametrize("name", MEMBERS)
def test_its_name_ends_in_error(name: str) -> None:
    assert name.endswith("Error")


@pytest.mark.parametrize("name", MEMBERS)
def test_it_is_on_an_error_page(name: str) -> None:
    assert name.split(".")[1] == "errors"


@pytest.mark.parametrize(("name", "member"), MEMBERS.items())
def test_it_has_an_exit_code(name: str, member: type[FirstbootError | LocalCloudError]) -> None:
    assert isinstance(member.exit_code, IntEnum)
    assert member.exit_code != 0


def raised_names() -> set[str]:
    """Return the names of all classes that the packages raise."""
    sources = [path for name in PACKAGES for path in (ROOT / name).rglob("*.py")]
    nodes = (node for path in sources for node in ast.walk(ast.parse(path.read_text())))
    raised = (node.exc for node in nodes if isinstance(node, ast.Raise) and node.exc)
    return {
        ast.unparse(each.func if isinstance(each, ast.Call) else each).rpartition(".")[2]
        for each in raised
    }


RAISED = raised_names()
GROUPS = [
    name
    for name, member in MEMBERS.items()
    if member in FAMILIES or (member.__subclasses__() and member.__name__ not in RAISED)
]
"""Classes that are there to be caught: what is raised is one of those below them."""


@pytest.mark.parametrize("name", sorted(MEMBERS.keys() - set(GROUPS)))
def test_it_says_what_to_do_next(name: str) -> None:
    """In words of its own, or through a constructor: the family's general advice is none."""
    lineage = [each for each in MEMBERS[name].__mro__ if each in MEMBERS.values()]
    own = [each for each in lineage if each not in FAMILIES]
    assert any(
        vars(each).get("next_step") or "self.next_step = " in inspect.getsource(each)
        for each in own
    )


def test_the_walk_sees_what_is_raised() -> None:
    assert {"StorageMissingError", "PortInUseError", "StationNotPreparedError"} <= RAISED


def test_both_families_agree_on_exit_codes() -> None:
    theirs = {code.name: code.value for code in localcloud.errors.ExitCode}
    ours = {code.name: code.value for code in device.errors.ExitCode}
    assert theirs.items() <= ours.items()
