"""The demo's own part: running commands, hearing reports, and not claiming what did not happen."""

import io
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from device.config.methods import METHODS as TABLE
from scripts.demonstration.boot import FirstBoot
from scripts.demonstration.cli import main
from scripts.demonstration.cloud import devices_in, issuer_of
from scripts.demonstration.commands import CommandFailedError, Commands, Report
from scripts.demonstration.comparison import Row, row_of, table
from scripts.demonstration.methods import METHODS
from scripts.demonstration.performance import Proven, next_commands
from scripts.demonstration.story import Story

ROOT = Path(__file__).parents[2]
STEPS = (
    "storage opened",
    "key made",
    "claim connected",
    "certificate issued",
    "certificate staged",
    "thing registered",
    "device connected",
    "identity proven",
    "claim destroyed",
    "operating",
    "telemetry acknowledged",
)
HOLDING_ITS_CERTIFICATE = (
    "storage opened",
    "device connected",
    "identity proven",
    "certificate promoted",
    "operating",
    "telemetry acknowledged",
)
IDENTITY = {
    "thing_name": "SN-1",
    "certificate_id": "ab12",
    "key_uri": "sealed:device-key.1",
    "key_made_by": "device",
}
FAILS = '#!/bin/sh\necho "factory: no" >&2\necho "next: something else" >&2\nexit 4\n'
PRINTS_ENVIRONMENT = "#!/bin/sh\nexec env\n"
REPORTS_UNTIL_STOPPED = """#!/bin/sh
trap 'echo "{\\"step\\": \\"stopped\\", \\"detail\\": \\"\\"}"; exit 0' TERM
echo '{"step": "operating", "detail": ""}'
echo '{"step": "telemetry acknowledged", "detail": "message 1"}'
while true; do sleep 0.05; done
"""


@pytest.fixture
def told() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def commands(told: io.StringIO) -> Commands:
    return Commands(Story(told))


def script(folder: Path, text: str) -> str:
    file = folder / "command"
    file.write_text(text)
    file.chmod(0o755)
    return str(file)


def test_a_failure_keeps_the_words_and_the_code(commands: Commands, tmp_path: Path) -> None:
    with pytest.raises(CommandFailedError) as caught:
        commands.run(script(tmp_path, FAILS), "make")
    assert caught.value.exit_code == 4
    assert caught.value.words == "factory: no\nnext: something else\n"
    assert caught.value.line.endswith("command make")


def test_a_failure_is_told_in_the_commands_words(told: io.StringIO) -> None:
    Story(told).failed(CommandFailedError("factory make", "factory: no\n", 4))
    assert "factory make ended with exit code 4:\nfactory: no\n" in told.getvalue()


def test_no_account_of_the_caller_reaches_a_command(
    told: io.StringIO, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("DEVICE_STATE", "another device")
    said = Commands(Story(told)).ask(script(tmp_path, PRINTS_ENVIRONMENT))
    assert "AWS_" not in said
    assert "DEVICE_" not in said
    assert f"PATH={os.environ['PATH']}" in said


def test_a_device_is_stopped_when_enough_was_heard(commands: Commands, tmp_path: Path) -> None:
    heard = []

    def hear(report: Report) -> bool:
        heard.append(report["step"])
        return bool(report["step"] == "telemetry acknowledged")

    commands.follow((script(tmp_path, REPORTS_UNTIL_STOPPED),), hear)
    assert heard == ["operating", "telemetry acknowledged", "stopped"]


def test_a_device_that_fails_keeps_its_words(commands: Commands, tmp_path: Path) -> None:
    with pytest.raises(CommandFailedError) as caught:
        commands.follow((script(tmp_path, FAILS),), lambda _: False)
    assert caught.value.exit_code == 4
    assert "factory: no" in caught.value.words


def booted(method: str, *steps: str) -> FirstBoot:
    boot = FirstBoot(METHODS[method], Story(io.StringIO()))
    for step in steps:
        boot.hear({"step": step, "ms": 1.0, "detail": ""})
    return boot


def test_a_whole_boot_is_complete() -> None:
    booted("claim", *STEPS).check_complete()


@pytest.mark.parametrize("lost", [*STEPS[:6], *STEPS[7:9], STEPS[-1]])
def test_a_step_that_never_happened_is_named(lost: str) -> None:
    boot = booted("claim", *(step for step in STEPS if step != lost))
    with pytest.raises(CommandFailedError, match=f"never happened: {lost}"):
        boot.check_complete()


def test_with_keys_by_aws_no_key_is_made() -> None:
    booted("claim-aws-keys", *(step for step in STEPS if step != "key made")).check_complete()


def test_only_the_first_telemetry_ends_the_run() -> None:
    boot = booted("claim")
    heard = [boot.hear({"step": step, "ms": 1.0, "detail": ""}) for step in STEPS]
    assert heard == [False] * 10 + [True]


def test_the_second_power_on_repeats_no_step() -> None:
    boot = booted("claim", "storage opened", "waiting", "storage opened", "waiting")
    assert [step["name"] for step in boot.steps] == ["storage opened", "waiting", "waiting"]


def test_it_learns_who_the_device_became() -> None:
    boot = booted("claim")
    boot.hear({"identity": IDENTITY})
    assert (boot.thing_name, boot.certificate_id, boot.key_store) == ("SN-1", "ab12", "sealed")


def test_a_step_is_told_with_its_reason(told: io.StringIO) -> None:
    Story(told).step(METHODS["claim"], "certificate issued", 12.3, "0123456789abcdef")
    assert "0.012 s  certificate issued" in told.getvalue()
    assert "AWS signed the device's own request: 0123456789ab..." in told.getvalue()


def test_each_method_of_the_settings_is_shown() -> None:
    assert set(METHODS) == set(TABLE)


@pytest.mark.parametrize("method", ["jitp", "jitr"])
def test_just_in_time_is_not_shown_without_its_refusal(method: str) -> None:
    booted(method, "refused by AWS IoT", *HOLDING_ITS_CERTIFICATE).check_complete()
    with pytest.raises(CommandFailedError, match="never happened: refused by AWS IoT"):
        booted(method, *HOLDING_ITS_CERTIFICATE).check_complete()


def test_connections_and_refusals_are_counted_until_the_identity_is_proven() -> None:
    refused = ("refused by AWS IoT", "waiting", "refused by AWS IoT", "waiting")
    boot = booted("jitp", "storage opened", *refused, "device connected", "identity proven")
    boot.hear({"step": "device connected", "ms": 1.0, "detail": ""})
    assert (boot.connections, boot.refusals) == (3, 2)


def test_a_pause_is_told_without_the_error(told: io.StringIO) -> None:
    Story(told).step(METHODS["jitp"], "waiting", 1.0, "1.9 s, because: AWS_ERROR_HANGUP")
    assert "1.9 s, with jitter" in told.getvalue()
    assert "HANGUP" not in told.getvalue()


@pytest.mark.parametrize("method", METHODS)
def test_making_names_method_and_device(method: str) -> None:
    chosen = METHODS[method]
    words = " ".join(chosen.making("SN-7"))
    assert "{" not in words
    assert "SN-7" in words
    assert chosen.serial_of("SN-7").startswith("SN-7")


def test_a_device_of_several_accounts_is_led_to_each() -> None:
    places = [METHODS["multi-account"].environment(place) for place in (0, 1)]
    assert len({place[-1] for place in places}) == 2, "Regions"
    assert all("--account" in place for place in places)


def proven(method: str) -> Proven:
    boot = booted(method, "storage opened", "device connected", "identity proven")
    boot.hear({"identity": IDENTITY})
    return Proven(METHODS[method], "SN-7", ".firstboot/devices/SN-7", boot, "Firstboot CA")


def test_the_object_has_the_fields_of_the_design() -> None:
    fields = proven("bulk").as_fields()
    names = "method serial thing_name certificate_id key_store steps published"
    assert " ".join(fields) == names
    assert fields["serial"] == "SN-7-0001"


def test_the_next_commands_make_a_device_of_the_same_method() -> None:
    lines = [line for each in next_commands(proven("trusted-user")).values() for line in each]
    assert any("factory make --method trusted-user" in line for line in lines)
    assert any("factory claim --trusted-user" in line for line in lines)
    assert any(line.startswith("device boot --wait-for-claim --state") for line in lines)


def test_a_ca_that_signs_for_all_is_put_there_for_the_next_device_and_taken_away() -> None:
    lines = [line for each in next_commands(proven("claim-own-ca")).values() for line in each]
    verbs = [line.split()[1] for line in lines if line.startswith(("factory", "device boot"))]
    assert verbs == ["prepare", "make", "boot", "teardown"]
    assert [name for name, method in METHODS.items() if method.signs_for_all] == ["claim-own-ca"]


def test_an_element_is_named_to_the_station_for_this_device_and_the_next() -> None:
    made_in_an_element = replace(proven("bulk"), element="softhsm")
    lines = [line for each in next_commands(made_in_an_element).values() for line in each]
    assert METHODS["bulk"].making("SN-7", "softhsm")[-2:] == ("--element", "softhsm")
    assert [line.endswith("--count 3 --element softhsm") for line in lines].count(True) == 1


def test_a_key_from_aws_is_shown_in_no_element(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["--method", "claim-aws-keys", "--element", "softhsm"])
    assert raised.value.code == 2
    said = capsys.readouterr().err
    assert "AWS makes the key" in said
    assert "next: --method claim" in said


def test_the_table_says_what_was_seen() -> None:
    row = row_of(proven("multi-account"))
    assert row.cells()[:5] == ("multi-account", "device", "Firstboot CA", "1", "0")
    assert row.cells()[6] == "proven, publishing"


def test_a_method_that_failed_has_a_line_of_its_own() -> None:
    lines = table([row_of(proven("bulk")), Row("jitp", "FAILED with exit code 4")])
    assert lines[0].split()[0] == "method"
    assert lines[2].endswith("FAILED with exit code 4")
    assert lines[2].split()[:6] == ["jitp", "-", "-", "-", "-", "-"]
    columns = [lines[0].index("result"), lines[1].index("proven"), lines[2].index("FAILED")]
    assert columns == columns[:1] * 3


def test_one_method_that_fails_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(script(tmp_path, FAILS)).rename(tmp_path / "localcloud")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert main(["--method", "all", "--json"]) == 4
    *devices, last = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(each["method"], each["published"]) for each in devices] == [
        (method, False) for method in METHODS
    ]
    assert {row["result"] for row in last["methods"]} == {"FAILED with exit code 4"}


def test_the_report_is_read_for_one_batch() -> None:
    lines = [
        {"response": {"ResourceArns": {"thing": f"arn:thing/{name}", "certificate": "arn:cert/ab"}}}
        for name in ("B2-0002", "B2-0001", "B1-0001")
    ]
    assert devices_in(lines, "B2") == dict.fromkeys(("B2-0001", "B2-0002"), "certificate ab")


def test_the_issuer_is_called_as_a_person_would() -> None:
    authority = trustme.CA(organization_name="Someone")
    assert "Someone" in issuer_of(authority.cert_pem.bytes().decode())
