"""The unit that the packages install, read by systemd's own tools."""

import configparser
import re
import subprocess
from pathlib import Path

import pytest

from device.errors import ExitCode
from tests.support.hang import SECONDS

UNITS = Path(__file__).parents[2] / "packaging" / "systemd"
UNIT = UNITS / "firstboot@.service"
SERVICES = (UNIT, UNITS / "firstboot-renew@.service")
MAX_EXPOSURE = 1.5


def service() -> configparser.SectionProxy:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign] # the documented way
    parser.read(UNIT)
    return parser["Service"]


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: str(unit.name))
def test_the_exposure_is_low(unit: Path) -> None:
    command = ["systemd-analyze", "security", "--offline=true", str(unit)]
    said = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=SECONDS
    ).stdout
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)
    assert found is not None, said
    assert float(found[1]) < MAX_EXPOSURE


@pytest.mark.parametrize("path", sorted(UNITS.iterdir()), ids=lambda path: str(path.name))
def test_systemd_finds_nothing_wrong_with_the_unit(path: Path, tmp_path: Path) -> None:
    device = tmp_path / "device"
    device.write_text("#!/bin/sh\n")
    device.chmod(0o755)
    for each in UNITS.iterdir():  # a timer needs its service
        words = each.read_text().replace("/usr/bin/device", str(device))
        words = words.replace("Documentation=man:device(1)\n", "")  # not installed here
        (tmp_path / each.name).write_text(words)
    command = ["systemd-analyze", "verify", str(tmp_path / path.name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_renewal_has_the_sandbox_of_the_device() -> None:
    """One of the two units may not be opened alone."""
    device, renewal = (each.read_text() for each in SERVICES)
    sandbox = device[device.index("# The state outlives") : device.index("[Install]")]
    assert sandbox.strip() in renewal


def test_a_device_without_a_network_may_take_as_long_as_it_takes_to_be_ready() -> None:
    assert (service()["Type"], service()["TimeoutStartSec"]) == ("notify", "infinity")


def test_what_starting_again_cannot_help_is_not_started_again() -> None:
    hopeless = {ExitCode.CONFIGURATION_INVALID, ExitCode.DENIED, ExitCode.STORAGE_UNUSABLE}
    assert {int(each) for each in service()["RestartPreventExitStatus"].split()} == hopeless
