"""The station's command line without a cloud: what goes wrong gets words and an exit code."""

import json
from pathlib import Path

import pytest
import trustme

from device.identity.csr import subject_name
from device.identity.pem import parse_certificate
from device.storage.device_storage import open_device_storage
from device.storage.secure_storage import Uid
from factory.account.cloud import Account
from factory.cli import main
from factory.station.station import CLAIM_COMMON_NAME, open_or_make_station
from tests.support.certificates import certificate_for
from tests.unit.test_factory_station import NOW


@pytest.fixture(autouse=True)
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with no AWS configuration, in an empty folder."""
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
                 "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_ENDPOINT_URL", "DEVICE_ENDPOINT",
                 "DEVICE_ROOT_CA", "DEVICE_ROOT_OF_TRUST"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")


@pytest.fixture
def prepared() -> None:
    """A station, where the command line looks for it, that holds a claim."""
    with open_or_make_station(Path(".firstboot/station")) as station:
        station.begin_claim(Account("123456789012", "eu-central-1"), NOW)
        station.keep_certificate("c0ffee", certificate_for(station.claim_csr()))
        station.confirm_active()


def run(command: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = main(command.split())
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return code, captured.out, captured.err


def misuse(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(command.split()) == 2
    return capsys.readouterr().err


def test_no_verb_is_misuse(capsys: pytest.CaptureFixture[str]) -> None:
    assert "VERB" in misuse("", capsys)


def test_unknown_method_is_misuse_and_the_known_are_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "claim-aws-keys" in misuse("prepare --method magic", capsys)


def test_bad_serial_number_is_misuse(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run("make --method claim --serial a/b", capsys)
    assert code == 2
    assert "'a/b' cannot be a serial number" in err
    assert "next: Use 1 to 64" in err


def test_no_credentials(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    code, _, err = run("prepare --method claim", capsys)
    assert code == 3
    assert "Unable to locate credentials" in err
    assert "next: For the local AWS" in err


@pytest.mark.usefixtures("credentials")
def test_no_region(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run("make --method claim --serial SN-1", capsys)
    assert code == 3
    assert "specify a region" in err


@pytest.mark.usefixtures("credentials")
def test_unknown_profile(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    code, _, err = run("teardown", capsys)
    assert code == 3
    assert "nobody" in err


@pytest.mark.usefixtures("credentials")
def test_endpoint_that_is_no_url(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "no url")
    code, _, err = run("prepare --method claim", capsys)
    assert code == 3
    assert "Invalid endpoint: no url" in err


@pytest.mark.usefixtures("credentials")
def test_nobody_at_the_endpoint(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    code, _, err = run("prepare --method claim", capsys)
    assert code == 5
    assert "got no answer" in err
    assert "localcloud up" in err


def test_make_before_prepare(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run("make --method claim --serial SN-1 --endpoint localhost", capsys)
    assert code == 1
    assert "no prepared station" in err
    assert "next: Run factory prepare" in err
    assert not Path(".firstboot/devices").exists()


@pytest.mark.usefixtures("prepared")
def test_bad_root_ca(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run("make --method claim --serial S --endpoint h --root-ca none.pem", capsys)
    assert code == 3
    assert "none.pem: no such file" in err


@pytest.mark.usefixtures("prepared")
def test_folder_that_is_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    Path("taken").touch()
    code, _, err = run("make --method claim --serial S --endpoint h --out taken", capsys)
    assert code != 0
    assert "taken" in err


def stored(device: str, uid: Uid) -> bytes:
    with open_device_storage(Path(device)) as storage:
        return storage.ps.get(uid)


@pytest.mark.usefixtures("prepared")
def test_device_is_made_where_the_command_line_says_and_without_a_cloud(
    capsys: pytest.CaptureFixture[str],
) -> None:
    device_id = "0123456789abcdef" * 2
    code, out, err = run(
        f"make --method claim --serial SN-1 --endpoint h:1 --device-id {device_id} --out d --json",
        capsys,
    )
    assert (code, err) == (0, "")
    assert json.loads(out) == {
        "method": "claim", "serial": "SN-1", "device_id": device_id, "state": "d",
        "endpoint": "h:1", "lifecycle": "SECURED",
    }  # fmt: skip
    assert parse_certificate(stored("d", Uid.CLAIM_CERTIFICATE)).subject == subject_name(
        {"common_name": CLAIM_COMMON_NAME}
    )


@pytest.mark.usefixtures("prepared")
def test_defaults_of_make_come_from_the_environment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trust = tmp_ca(Path("ca.pem"))
    monkeypatch.setenv("DEVICE_ENDPOINT", "localhost:8884")
    monkeypatch.setenv("DEVICE_ROOT_CA", "ca.pem")

    code, out, err = run("make --method claim --serial SN-1", capsys)

    assert (code, out) == (0, "")
    assert "Made SN-1 in .firstboot/devices/SN-1" in err
    assert "device boot --state .firstboot/devices/SN-1" in err
    assert stored(".firstboot/devices/SN-1", Uid.ENDPOINT) == b"localhost:8884"
    assert stored(".firstboot/devices/SN-1", Uid.ROOT_CA) == trust


@pytest.mark.usefixtures("prepared")
def test_flags_win_over_the_environment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEVICE_ENDPOINT", "wrong:1")
    monkeypatch.setenv("DEVICE_ROOT_CA", "wrong.pem")
    trust = tmp_ca(Path("right.pem"))

    run("make --method claim --serial SN-1 --endpoint right:2 --root-ca right.pem", capsys)

    assert stored(".firstboot/devices/SN-1", Uid.ENDPOINT) == b"right:2"
    assert stored(".firstboot/devices/SN-1", Uid.ROOT_CA) == trust


@pytest.mark.usefixtures("prepared")
def test_existing_device_is_refused_with_a_next_step(capsys: pytest.CaptureFixture[str]) -> None:
    run("make --method claim --serial SN-1 --endpoint h", capsys)
    code, _, err = run("make --method claim --serial SN-1 --endpoint h", capsys)
    assert code == 1
    assert "serial number SN-1 is taken: device" in err
    assert "the same command with --again" in err


def tmp_ca(file: Path) -> bytes:
    pem = trustme.CA().cert_pem.bytes()
    file.write_bytes(pem)
    return pem


def test_what_the_machine_cannot_do_gets_words(capsys: pytest.CaptureFixture[str]) -> None:
    name = "a" * 5000
    code, _, err = run(f"make --method claim --serial S --endpoint h --root-ca {name}", capsys)
    assert code == 1
    assert "File name too long" in err


def test_misuse_is_told_as_every_other_error_is(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run("make --method nope --json", capsys)
    told = json.loads(out)
    assert (code, told["code"], told["next_step"]) == (2, "FB-501", "Read factory make --help.")
    assert "invalid choice: 'nope'" in told["message"]
    assert f"factory: error FB-501: {told['message']}" in err


def test_a_file_name_cannot_command_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--certificate", "\x1b[2J\nfactory: all is well"]) == 3
    err = capsys.readouterr().err
    assert "\x1b" not in err
    assert "\nfactory: all is well" not in err
