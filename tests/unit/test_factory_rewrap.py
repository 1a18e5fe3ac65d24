"""Does the station give a device the root of trust that was asked for, and move it to another?"""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from device.errors import ExitCode
from device.lifecycle.status import read_status
from device.storage.roots.root_plan import CredentialPlan
from factory.account.cloud import Account
from factory.cli import main
from factory.making.unfinished_device import unfinished_device
from factory.station.station import open_or_make_station
from tests.support.certificates import certificate_for
from tests.support.devices import make_device
from tests.unit.test_factory_station import NOW
from tests.unit.test_factory_unfinished_device import order

ACCOUNT = Account("123456789012", "eu-central-1")
CREDENTIAL = "systemd-credential:root"
MAKE = ["make", "--method", "claim", "--serial", "SN-1", "--endpoint", "localhost:8883"]


@pytest.fixture(autouse=True)
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bench with no AWS, where systemd hands over a root key, as to a unit."""
    (tmp_path / "root").touch(mode=0o600)
    (tmp_path / "root").write_bytes(bytes(range(32)))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    for name in ("AWS_PROFILE", "DEVICE_ROOT_CA", "DEVICE_ROOT_OF_TRUST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def prepared() -> None:
    """A station, where the command line looks for it, that holds a claim."""
    with open_or_make_station(Path(".firstboot/station")) as station:
        station.begin_claim(ACCOUNT, NOW)
        station.keep_certificate("c0ffee", certificate_for(station.claim_csr()))
        station.confirm_active()


def rewrap(state: Path, to: str, *options: str) -> int:
    return main(["rewrap", "--state", str(state), "--to", to, *options])


def root_of(state: Path) -> str:
    return read_status(state).root_of_trust


def test_a_device_moves_there_and_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = make_device(tmp_path / "device")

    assert rewrap(state, CREDENTIAL) == ExitCode.DONE
    assert "from file to systemd-credential" in capsys.readouterr().err
    assert root_of(state) == "systemd-credential"

    assert rewrap(state, "file", "--json") == ExitCode.DONE
    said = json.loads(capsys.readouterr().out)
    assert said == {"state": str(state), "was": "systemd-credential", "root_of_trust": "file"}
    assert root_of(state) == "file"


@pytest.mark.parametrize(
    ("to", "says", "code"),
    [
        ("magic", "unknown root of trust 'magic'", ExitCode.CONFIGURATION_INVALID),
        ("systemd-credential:none", "the credential none", ExitCode.STORAGE_UNUSABLE),
    ],
)
def test_a_root_that_cannot_be_used_changes_nothing(
    to: str, says: str, code: ExitCode, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = make_device(tmp_path / "device")
    assert rewrap(state, to) == code
    said = capsys.readouterr().err
    assert says in said
    assert "next: " in said
    assert root_of(state) == "file"


@pytest.mark.usefixtures("prepared")
def test_the_station_itself_moves(tmp_path: Path) -> None:
    """Its claim's key is sealed as a device's keys are."""
    assert rewrap(Path(".firstboot/station"), CREDENTIAL) == ExitCode.DONE
    assert main([*MAKE, "--out", str(tmp_path / "device")]) == ExitCode.DONE
    assert root_of(tmp_path / "device") == "file"


def test_there_is_no_device_to_move(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert rewrap(tmp_path / "none", "file") == ExitCode.STORAGE_UNUSABLE
    assert "there is no device" in capsys.readouterr().err


@pytest.mark.usefixtures("prepared")
@pytest.mark.parametrize("said_by", ["flag", "environment", "nobody"])
def test_a_device_is_made_on_the_root_that_was_asked_for(
    said_by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if said_by == "environment":
        monkeypatch.setenv("DEVICE_ROOT_OF_TRUST", CREDENTIAL)
    flag = ["--root-of-trust", CREDENTIAL] if said_by == "flag" else []

    assert main([*MAKE, "--out", str(tmp_path / "device"), *flag]) == ExitCode.DONE

    wanted = "file" if said_by == "nobody" else "systemd-credential"
    assert root_of(tmp_path / "device") == wanted


@pytest.mark.usefixtures("prepared")
def test_a_device_is_not_made_on_a_root_that_cannot_be_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make = [*MAKE, "--out", str(tmp_path / "device"), "--root-of-trust"]
    assert main([*make, "systemd-credential:none"]) == ExitCode.STORAGE_UNUSABLE
    assert "the credential none" in capsys.readouterr().err
    assert main([*make, CREDENTIAL]) == ExitCode.DONE, "the same folder, after a correction"


def test_a_device_that_waits_for_its_certificate_keeps_its_root(tmp_path: Path) -> None:
    """A batch that is continued ignores what the line is set to now."""
    begun = replace(order(), root_of_trust=CredentialPlan("root"))
    with unfinished_device(begun, tmp_path / "device") as device:
        key = device.public_key
    with unfinished_device(order(), tmp_path / "device") as device:
        assert device.public_key == key
        assert device.storage.root_of_trust.kind == "systemd-credential"
