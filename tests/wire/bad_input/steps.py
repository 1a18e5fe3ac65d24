"""What tests of bad input have in common: who runs them, what a device says, how it is mended."""

from pathlib import Path
from typing import Final

import pytest

from tests.support.device_process import Finished
from tests.support.production_line import ProductionLine

THINGS_REGISTRATION: Final = "arn:aws:iam::aws:policy/service-role/AWSIoTThingsRegistration"


def of(*methods: str) -> pytest.MarkDecorator:
    """Run a test for these methods."""
    return pytest.mark.parametrize("line", methods, indirect=True)


def next_step(finished: Finished) -> str:
    """Return what the device advises."""
    return str(finished.error["next_step"])


def advised(stopped: Finished) -> str:
    """Return the next step that the station printed."""
    return stopped.err.partition("next: ")[2]


def take_rights_of_template(line: ProductionLine) -> None:
    """Leave the provisioning role without what a template needs."""
    role = {"RoleName": "firstboot-provisioning", "PolicyArn": THINGS_REGISTRATION}
    line.client("iam").detach_role_policy(**role)


def prepare_again(line: ProductionLine) -> str:
    """Mend the account; return what the station said."""
    prepared = line.prepare()
    assert prepared.code == 0, prepared.err
    return prepared.err


def assert_let_in(line: ProductionLine, state: Path) -> Finished:
    """Boot a device that is to be proven, with one certificate."""
    finished = line.boot_with_claim(state)
    assert finished.code == 0, finished.err
    assert line.active(state.name) == [finished.identity["certificate_id"]]
    return finished
