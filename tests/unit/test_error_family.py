"""Every exception class of the packages belongs to a family; there are few of them."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from types import ModuleType

import pytest

import device
import device.errors
import factory
import localcloud
import localcloud.errors
from device.errors import FirstbootError
from localcloud.errors import LocalCloudError

FAMILIES = (FirstbootError, LocalCloudError)
# Not errors but news, caught where they are raised; each with where and why.
OUTSIDE = {
    "device.cli._Terminated": "becomes the StoppedError of the command",
    "device.doctor.finding.DiagnosedError": "becomes the finding of a check",
    "device.doctor.finding.SkippedError": "becomes the result skipped of a check",
    "device.operation.jobs._Refused": "becomes the status REJECTED of a job",
    "device.runtime.power.PowerCutError": "the plug was pulled; no handler may swallow it",
    "device.connection.tunnel.TunnelRefusedError": "becomes the event of a failed connection",
    "localcloud.broker.codec.MalformedError": "becomes the DISCONNECT of its connection",
    "localcloud.broker.link.EndError": "ends a connection in its own task",
    "localcloud.broker.packets.VersionError": "becomes the CONNACK that refuses the version",
    "localcloud.faults.injection._CutError": "ends a connection in its own task",
    "localcloud.gaps.certificate_provider.SigningError": "becomes the rejection of a request",
    "localcloud.gaps._support.command_status.UpdateError": "becomes the rejection of an update",
    "localcloud.gaps._support.rest.RefusedError": "becomes AWS's error reply to a REST request",
}
# MiniStack reads its settings when it is imported, and refuses all ports but loopback's then.
SERVER_ONLY = {
    "localcloud.process.cloud",
    "device.__main__",
    "factory.__main__",
    "localcloud.__main__",
}


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
    assert 30 < len(CLASSES) < 50


def test_every_exception_belongs_to_a_family() -> None:
    assert sorted(CLASSES.keys() - MEMBERS.keys()) == sorted(OUTSIDE)


@pytest.mark.parametrize("name", MEMBERS)
def test_its_name_ends_in_error(name: str) -> None:
    assert name.endswith("Error")


@pytest.mark.parametrize("name", MEMBERS)
def test_it_is_on_an_error_page(name: str) -> None:
    assert name.split(".")[1] == "errors"


def test_both_families_agree_on_exit_codes() -> None:
    theirs = {code.name: code.value for code in localcloud.errors.ExitCode}
    ours = {code.name: code.value for code in device.errors.ExitCode}
    assert theirs.items() <= ours.items()
