"""Does the device say what it is, from its storage alone, in every state?"""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from device.errors.provisioning import NO_CREDENTIAL
from device.errors.storage import NOT_A_DEVICE, DataCorruptError, StorageMissingError
from device.lifecycle.status import read_status
from device.storage.device_storage import create_device_storage, open_device_storage
from device.storage.lifecycle import Lifecycle
from device.verbs.status import lines_of
from factory.station.station import open_or_make_station
from tests.support.devices import DEVICE_ID, SERIAL, advance_to, enrolment_of, make_device
from tests.support.errors import raises
from tests.support.hang import SECONDS
from tests.support.roots import RootBench

ROOT = Path(__file__).parents[2]
A_ESC = r"a=\x1b[2J"


def status_at(tmp_path: Path, step: str) -> dict[str, object]:
    state = make_device(tmp_path / "device")
    with open_device_storage(state) as storage:
        advance_to(storage, step)
    found: dict[str, object] = msgspec.to_builtins(read_status(state))
    return found


@pytest.mark.parametrize(
    ("step", "state"),
    [
        ("made", "waiting for its first boot"),
        ("keyed", "key made, certificate not yet issued"),
        ("staged", "certificate staged, thing not known to be registered"),
        ("registered", "thing registered, identity not yet proven"),
        ("proven", "provisioned"),
    ],
)
def test_each_state_is_named(tmp_path: Path, step: str, state: str) -> None:
    found = status_at(tmp_path, step)

    assert found["state"] == state
    assert found["serial"] == SERIAL
    assert found["device_id"] == DEVICE_ID
    assert found["lifecycle"] == "SECURED"
    assert found["claim_installed"] is (step != "proven")
    assert ("key" in found) is (step != "made")
    assert ("certificate_id" in found) is (step in {"staged", "registered", "proven"})
    assert ("thing_name" in found) is (step == "proven")


def test_an_identity_is_described(tmp_path: Path) -> None:
    found = status_at(tmp_path, "proven")

    assert found["thing_name"] == SERIAL
    assert found["certificate_expires"] == "2049-12-31T23:59:59Z"
    assert found["method"] == "claim"
    assert found["key"] == "sealed:device-key.1"
    assert found["key_type"] == "ec-p256"
    assert found["key_made_by"] == "device"
    assert found["device_configuration"] == {"greeting": "hello"}


def test_a_configuration_that_was_lost_is_said_to_be(tmp_path: Path) -> None:
    state = make_device(tmp_path / "device")
    with open_device_storage(state) as storage:
        advance_to(storage, "staged")
        enrolment_of(storage).record_registration(SERIAL, None)
        enrolment_of(storage).promote(SERIAL)

    assert read_status(state).device_configuration is None


@pytest.mark.parametrize(
    ("configuration", "words"),
    [(None, "not known: the reply that held it was lost"), ({}, "none"), ({"a": "\x1b[2J"}, A_ESC)],
)
def test_a_configuration_is_told_in_words(
    tmp_path: Path, configuration: dict[str, str] | None, words: str
) -> None:
    state = make_device(tmp_path / "device")
    with open_device_storage(state) as storage:
        advance_to(storage, "staged")
        enrolment_of(storage).record_registration(SERIAL, configuration)
        enrolment_of(storage).promote(SERIAL)

    assert dict(lines_of(read_status(state)))["device configuration"] == words


def test_a_device_without_any_credential_is_said_to_have_none(tmp_path: Path) -> None:
    state = make_device(tmp_path / "device", claim=None, endpoint=None)

    lines = dict(lines_of(read_status(state)))

    assert lines["state"] == NO_CREDENTIAL.sentence
    assert (lines["claim installed"], lines["endpoint"]) == ("no", "none")


def test_a_device_that_the_station_did_not_finish(tmp_path: Path) -> None:
    create_device_storage(tmp_path / "device").close()

    found = read_status(tmp_path / "device")

    assert found.state == "not finished by the station"
    assert found.lifecycle == "ASSEMBLY_AND_TEST"


def test_a_device_out_of_service(tmp_path: Path) -> None:
    state = make_device(tmp_path / "device")
    with open_device_storage(state) as storage:
        storage.advance(Lifecycle.DECOMMISSIONED)

    found = read_status(state)

    assert (found.lifecycle, found.state) == (
        "DECOMMISSIONED",
        "decommissioned: every key is destroyed",
    )


def test_the_storage_of_a_station_is_no_device(tmp_path: Path) -> None:
    with open_or_make_station(tmp_path / "station"):
        pass

    with raises(NOT_A_DEVICE, match="no serial number"):
        read_status(tmp_path / "station")


def test_no_device(tmp_path: Path) -> None:
    with pytest.raises(StorageMissingError):
        read_status(tmp_path / "none")


def test_a_storage_that_was_tampered_with(tmp_path: Path) -> None:
    state = make_device(tmp_path / "device")
    for name in ("image-a", "image-b"):
        (state / "storage" / name).write_bytes(b"\0" * 100)

    with pytest.raises(DataCorruptError):
        read_status(state)


def test_looking_changes_nothing(tmp_path: Path) -> None:
    state = make_device(tmp_path / "device")
    before = {path: path.read_bytes() for path in state.rglob("*") if path.is_file()}

    read_status(state)

    assert {path: path.read_bytes() for path in state.rglob("*") if path.is_file()} == before


def test_it_answers_while_the_device_is_at_work(tmp_path: Path) -> None:
    state = make_device(tmp_path / "device")
    with open_device_storage(state), open_device_storage(state, read_only=True):
        command = [sys.executable, "-m", "device", "status", "--state", str(state), "--json"]
        answer = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=SECONDS)

    assert b"waiting for its first boot" in answer.stdout
    assert answer.stderr == b""


def test_it_never_loads_what_only_the_network_needs(tmp_path: Path) -> None:
    state = make_device(tmp_path / "device")
    program = (
        "import sys; from device.cli import main; main(sys.argv[1:]); "
        "print({name.partition('.')[0] for name in sys.modules} & {'awscrt', 'awsiot', 'yaml'})"
    )
    command = [sys.executable, "-c", program, "status", "--state", str(state)]

    answer = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=SECONDS)

    assert answer.stdout.splitlines()[-1] == b"set()"


def test_the_root_of_trust_says_that_files_do_not_stop_a_clone(tmp_path: Path) -> None:
    found = read_status(make_device(tmp_path / "device"))

    assert found.root_of_trust == "file"
    assert "stolen storage" in found.protects_against
    assert "cloned disk" in found.no_protection_against
    assert found.storage_flags == ["NO_REPLAY_PROTECTION"]


def test_each_root_of_trust_is_told_in_short_lines(root: RootBench, tmp_path: Path) -> None:
    with root.create(tmp_path) as storage:
        strength = storage.root_of_trust.strength
    lines = (*map(", ".join, (strength.protects_against, strength.no_protection_against)),)
    assert max(map(len, (*lines, strength.note))) < 90
