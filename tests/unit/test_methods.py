"""A method is a row, a machine, a station module, a settings file and a page: all are there."""

from pathlib import Path

import pytest

from device.config.device_plan import plan_for
from device.config.methods import METHODS, Credential, MachineKind
from device.config.settings import load
from device.errors import ConfigurationError
from device.provisioning.claim import ClaimPlan
from device.provisioning.presented import PresentedPlan
from device.storage.device_storage import open_device_storage
from factory import methods as station
from factory.station.authorities import ISSUING
from scripts.demonstration.methods import METHODS as SHOWN
from scripts.recording.page import PAGES
from tests.support.devices import make_device

ROOT = Path(__file__).parents[2]
PLANS = {MachineKind.CLAIM: ClaimPlan, MachineKind.PRESENTED: PresentedPlan}


@pytest.mark.parametrize("method", METHODS)
def test_a_method_is_planned_for_its_machine(method: str, tmp_path: Path) -> None:
    row = METHODS[method]
    settings = load(ROOT / "config" / row.settings_file, {"DEVICE_METHOD": method}, {})
    with open_device_storage(make_device(tmp_path / "device"), read_only=True) as storage:
        machine = plan_for(storage, settings, row.settings_file).machine

    assert type(machine) is PLANS[row.machine]


def test_each_machine_is_that_of_a_method() -> None:
    assert {row.machine for row in METHODS.values()} == set(PLANS)


@pytest.mark.parametrize("method", METHODS)
def test_a_settings_file_names_its_method_or_one_that_is_made_alike(method: str) -> None:
    named = load(ROOT / "config" / METHODS[method].settings_file, {}, {}).method

    assert METHODS[named].settings_file == METHODS[method].settings_file


@pytest.mark.parametrize("method", METHODS)
def test_a_method_has_a_page_with_its_command(method: str) -> None:
    assert f"factory prepare --method {method}" in PAGES[method].read_text()


def test_the_station_has_a_ca_for_each_method_that_it_signs_for() -> None:
    signed = {name for name, row in METHODS.items() if row.begins_with is Credential.LEAF}

    assert signed <= set(ISSUING)


@pytest.mark.parametrize("method", METHODS)
def test_a_method_is_linted_before_it_is_prepared(method: str) -> None:
    assert all(file.is_file() for file in station.METHODS[method].files())
    assert station.METHODS[method].files()


def test_the_station_and_the_demo_know_every_method() -> None:
    assert list(station.METHODS) == list(SHOWN) == list(METHODS)


@pytest.mark.parametrize("method", METHODS)
def test_a_device_that_presents_its_certificate_knows_why_it_may_be_refused(method: str) -> None:
    row = METHODS[method]

    assert bool(row.refusal_causes) == (row.machine is MachineKind.PRESENTED)


def test_a_method_that_is_nearly_one_is_offered(tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text("method: multi-acount\n")
    with pytest.raises(ConfigurationError) as raised:
        load(tmp_path / "settings.yaml", {}, {})

    assert raised.value.next_step == "Did you mean multi-account?"
