"""The demo's own part: running commands, hearing reports, and not claiming what did not happen."""

import io
import os
from pathlib import Path

import pytest

from scripts.demonstration.boot import FirstBoot
from scripts.demonstration.commands import CommandFailedError, Commands, Report
from scripts.demonstration.story import Story

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

    commands.follow((script(tmp_path, REPORTS_UNTIL_STOPPED),), {}, hear)
    assert heard == ["operating", "telemetry acknowledged", "stopped"]


def test_a_device_that_fails_keeps_its_words(commands: Commands, tmp_path: Path) -> None:
    with pytest.raises(CommandFailedError) as caught:
        commands.follow((script(tmp_path, FAILS),), {"DEVICE_METHOD": "x"}, lambda _: False)
    assert caught.value.exit_code == 4
    assert caught.value.line.startswith("DEVICE_METHOD=x ")
    assert "factory: no" in caught.value.words


def booted(method: str, *steps: str) -> FirstBoot:
    boot = FirstBoot(method, Story(io.StringIO()))
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
    identity = {"thing_name": "SN-1", "certificate_id": "ab12", "key_uri": "sealed:device-key.1"}
    boot.hear({"identity": identity})
    assert (boot.thing_name, boot.certificate_id, boot.key_store) == ("SN-1", "ab12", "sealed")


def test_a_step_is_told_with_its_reason(told: io.StringIO) -> None:
    Story(told).step("claim", "certificate issued", 12.3, "0123456789abcdef")
    assert "0.012 s  certificate issued" in told.getvalue()
    assert "AWS signed the device's own request: 0123456789ab..." in told.getvalue()
