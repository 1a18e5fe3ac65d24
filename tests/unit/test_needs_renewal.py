"""``device needs-renewal`` for a timer: the exit code says it, and a failure has another one."""

import json
from pathlib import Path

import pytest

from device.cli import main
from device.lifecycle import journal
from device.storage.device_storage import open_device_storage
from device.storage.keys import KeyId
from tests.scenarios.test_older_storages import old_device
from tests.support.sealed_device import make_device

OLD_ENOUGH = "method: claim\nrenewal: {max_age_days: 0.001}\n"


@pytest.fixture
def proven(tmp_path: Path) -> Path:
    """A device that was provisioned by an earlier version."""
    return old_device("proven", tmp_path / "device")


def asked(state: Path, *options: str) -> int:
    return main(["needs-renewal", "--json", "--state", str(state), *options])


def settings(folder: Path, text: str) -> str:
    file = folder / "settings.yaml"
    file.write_text(text)
    return str(file)


def test_a_certificate_that_is_young_is_not_due(
    proven: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asked(proven) == 10

    answer = json.loads(capsys.readouterr().out)
    assert answer["due"] is False
    assert answer["expires"].endswith("Z")


def test_a_certificate_that_reached_its_age_is_due(
    proven: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asked(proven, "--config", settings(tmp_path, OLD_ENOUGH)) == 0

    answer = json.loads(capsys.readouterr().out)
    assert answer["due"] is True
    assert "age" in answer["reason"]


def test_a_renewal_that_was_begun_is_due(proven: Path) -> None:
    with open_device_storage(proven) as storage:
        journal.save(storage.ps, journal.Keyed(KeyId("device-key.2"), "csr"))

    assert asked(proven) == 0


def test_a_device_without_an_identity_fails_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asked(make_device(tmp_path / "device")) == 1

    assert json.loads(capsys.readouterr().out)["error"] == "NotProvisionedError"


@pytest.mark.parametrize(
    "value", ["at_fraction: 0", "at_fraction: 1", "max_age_days: 0", "jitter: 0.6", "at: 1"]
)
def test_a_setting_out_of_bounds_is_named(
    proven: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], value: str
) -> None:
    file = settings(tmp_path, f"method: claim\nrenewal: {{{value}}}\n")

    assert asked(proven, "--config", file) == 3

    assert "renewal." in json.loads(capsys.readouterr().out)["message"]


def test_nothing_is_written(proven: Path) -> None:
    before = {path: path.read_bytes() for path in proven.rglob("*") if path.is_file()}

    asked(proven)

    after = {path: path.read_bytes() for path in proven.rglob("*") if path.is_file()}
    assert before == after
