"""The unit that the packages install, read by systemd's own tools."""

import configparser
import re
import subprocess
from pathlib import Path

from device.errors import ExitCode
from tests.support.hang import SECONDS

UNIT = Path(__file__).parents[2] / "packaging" / "systemd" / "firstboot@.service"
MAX_EXPOSURE = 1.5


def service() -> configparser.SectionProxy:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign] # the documented way
    parser.read(UNIT)
    return parser["Service"]


def test_the_exposure_is_low() -> None:
    command = ["systemd-analyze", "security", "--offline=true", str(UNIT)]
    said = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=SECONDS
    ).stdout
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)
    assert found is not None, said
    assert float(found[1]) < MAX_EXPOSURE


def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    device = tmp_path / "device"
    device.write_text("#!/bin/sh\n")
    device.chmod(0o755)
    unit = tmp_path / UNIT.name
    words = UNIT.read_text().replace("/usr/bin/device", str(device))
    unit.write_text(words.replace("Documentation=man:device(1)\n", ""))  # not installed here
    command = ["systemd-analyze", "verify", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_device_without_a_network_may_take_as_long_as_it_takes_to_be_ready() -> None:
    assert (service()["Type"], service()["TimeoutStartSec"]) == ("notify", "infinity")


def test_what_starting_again_cannot_help_is_not_started_again() -> None:
    hopeless = {ExitCode.CONFIGURATION_INVALID, ExitCode.DENIED, ExitCode.STORAGE_UNUSABLE}
    assert {int(each) for each in service()["RestartPreventExitStatus"].split()} == hopeless
