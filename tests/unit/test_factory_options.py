"""Every option of every verb is used or refused, for each method: none is ignored in silence."""

import argparse
import io
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from device.errors import ExitCode
from factory.bulk.progress import progress_on
from factory.cli import main, parser
from factory.errors import EXTRA_MISSING, OPTION_NOT_USED
from factory.making.admission import Wanted, admit
from factory.making.new_device import DeviceOrder
from factory.methods import METHODS
from factory.station.ledger import Ledger
from factory.station.station import open_or_make_station
from factory.verbs.prepare import choices_of
from tests.support.errors import raises
from tests.unit.test_factory_cli import credentials, outside, prepared, run

__all__ = ["credentials", "outside", "prepared"]  # fixtures

COMMON = {"--help", "--json", "--log-level", "--station"}
"""What every verb has: how it speaks, and where the station is (lint and rewrap need none)."""
USED: dict[str, set[str]] = {
    "ca": {"action", "--element"},
    "prepare": {"--method", "--account", "--certificate-mode", "--inline-template", "--hook",
                "--certificate-hours", "--renewal", "--recovery"},
    "make": {"--method", "--account", "--serial", "--out", "--not-allowed", "--device-id",
             "--birth", "--serials", "--batch", "--jobs", "--dry-run", "--claim",
             "--again", "--config", "--element", "--endpoint", "--root-ca", "--root-of-trust"},
    "single": {"--serial", "--by", "--exclusive", "--no-exclusive", "--out", "--birth",
               "--again", "--account", "--config", "--element", "--endpoint", "--root-ca",
               "--root-of-trust"},
    "bulk": {"--count", "--serials", "--batch", "--template", "--dry-run", "--retry",
             "--no-wait", "--out", "--birth", "--again", "--account", "--config", "--element",
             "--endpoint", "--root-ca", "--root-of-trust"},
    "claim": {"action", "--name", "--days", "--trusted-user", "--device", "--to", "--template",
              "--own-credentials", "--account"},
    "manifest": {"batch", "--out"},
    "report": {"batch", "--junit"},
    "verify": {"manifest", "--signer"},
    "retire": {"--serial", "--delete-thing", "--config", "--account"},
    "rewrap": {"--state", "--to"},
    "lint": {"files", "--method", "--config", "--cloud", "--account"},
    "teardown": {"--method", "--account", "--devices", "--renewal"},
    "explain": {"code", "--serial", "--certificate", "--client-id", "--publish", "--subscribe",
                "--endpoint", "--local-aws", "--account"},
    "audit": {"--soon", "--old", "--claim", "--account"},
}  # fmt: skip
"""What each verb has besides. A new option is entered here with a test of what it does."""


def verbs() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


def options_of(command: argparse.ArgumentParser) -> set[str]:
    return {
        name
        for action in command._actions
        for name in action.option_strings or [action.dest]
        if not name.startswith("-") or name.startswith("--")
    }


@pytest.mark.parametrize(("verb", "command"), list(verbs()), ids=[verb for verb, _ in verbs()])
def test_every_option_is_known_here(verb: str, command: argparse.ArgumentParser) -> None:
    assert options_of(command) - COMMON == USED[verb]
    assert options_of(command) >= COMMON


def refused(words: str, capsys: pytest.CaptureFixture[str], option: str) -> str:
    code, out, err = run(f"{words} --json", capsys)
    assert code == ExitCode.MISUSE
    assert re.search(rf"factory: error FB-\d+: {option}: ", err)
    error = json.loads(out)
    assert (error["error"], error["exit_code"]) == ("OptionNotUsedError", 2)
    return err


ONCE = [
    "make --method claim --serial A --endpoint h --endpoint i",
    "make --method claim --method jitp --serial A",
    "make --method claim --serial A --out a --out b",
    "make --method claim --serial A --config a --config b",
    "make --method claim --serial A --root-ca a --root-ca b",
    "make --method claim --serial A --root-of-trust file --root-of-trust file",
    "make --method claim --serial A --element softhsm --element softhsm",
    f"make --method claim --serial A --device-id {'0' * 32} --device-id {'1' * 32}",
    "single --serial A --by hand --by register-thing",
    "bulk --count 1 --count 2",
    "bulk --batch a --batch b",
    "prepare --method claim --method jitp",
    "teardown --station a --station b",
    "rewrap --state a --state b --to file",
    "claim --trusted-user --to a --to b",
    "lint --method claim --method jitp",
]


@pytest.mark.parametrize("words", ONCE)
def test_option_that_is_given_twice_is_misuse(
    words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words.split()) == ExitCode.MISUSE
    assert "it is given twice" in capsys.readouterr().err


NUMBERS = [
    "audit --soon", "audit --old", "audit --claim", "bulk --count", "claim new --name A --days",
    "make --method claim --serial A --jobs", "prepare --method claim --recovery",
    "prepare --method claim-own-ca --certificate-hours",
]  # fmt: skip


@pytest.mark.parametrize("value", ["-1", "99999999999", "9" * 5000, "1.5", "\u0663", "x"])
@pytest.mark.parametrize("words", NUMBERS)
def test_number_that_means_nothing_is_misuse(
    words: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words.split(), value]) == ExitCode.MISUSE
    assert "FB-501" in capsys.readouterr().err


def test_file_that_holds_no_certificate_is_said_to_be_that(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.pem").write_text("garbage")
    words = ["explain", "--certificate", str(tmp_path / "bad.pem")]
    assert main(words) == ExitCode.CONFIGURATION_INVALID
    assert "bad.pem holds no certificate" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--out", "--station", "--endpoint", "--device-id", "--config"])
def test_empty_argument_is_misuse_and_no_default(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["make", "--method", "claim", "--serial", "A", "--json", option, ""]
    assert main(words) == ExitCode.MISUSE
    told = capsys.readouterr()
    assert "an argument is empty" in told.err
    assert json.loads(told.out)["error"] == "Misuse"


CHOICES = {
    "--certificate-mode SNI_ONLY": {"jitp", "jitr"},
    "--inline-template": {"jitp"},
    "--hook": {"claim", "claim-aws-keys"},
    "--certificate-hours 24": {"claim-own-ca"},
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("option", CHOICES)
def test_choice_of_prepare_is_used_or_refused(option: str, method: str) -> None:
    arguments = parser().parse_args(["prepare", "--method", method, *option.split()])
    if method in CHOICES[option]:
        assert choices_of(arguments) != choices_of(
            parser().parse_args(["prepare", "--method", method])
        )
        return
    with raises(OPTION_NOT_USED, match=option.split(maxsplit=1)[0]):
        choices_of(arguments)


@pytest.mark.usefixtures("prepared")
@pytest.mark.parametrize("method", sorted(METHODS.keys() - {"jitr", "multi-account"}))
def test_not_allowed_is_refused_where_the_cloud_keeps_no_list(
    method: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = f"make --method {method} --serial A --endpoint h --not-allowed"
    assert "jitr, multi-account and claim with a hook" in refused(words, capsys, "--not-allowed")
    assert not Path(".firstboot/devices").exists()


@pytest.mark.parametrize("method", sorted(METHODS.keys() - {"jitr", "multi-account"}))
def test_several_accounts_are_refused_where_a_device_is_made_for_one(
    method: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = f"make --method {method} --serial A --endpoint h --account a --account b"
    refused(words, capsys, "--account")


@pytest.mark.parametrize(
    "words",
    [
        "single --serial A --account a --account b",
        "bulk --count 1 --account a --account b",
        "claim --trusted-user --to c.json --account a --account b",
        "lint --method claim --cloud --account a --account b",
        "lint --method claim --account a",
    ],
)
def test_account_that_nobody_would_ask_is_refused(
    words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(words, capsys, "--account")


def test_settings_that_nobody_would_look_at_are_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("p.json").write_text("{}")
    refused("lint p.json --config x.yaml", capsys, "--config")


@pytest.mark.usefixtures("prepared")
def test_each_serial_number_that_is_given_is_made(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run("make --method claim --serial A --serial B --endpoint h --json", capsys)
    assert code == ExitCode.DONE
    made = [json.loads(line) for line in out.splitlines()]
    assert [each["serial"] for each in made] == ["A", "B"]
    assert made[0]["device_id"] != made[1]["device_id"]
    assert all(Path(each["state"]).is_dir() for each in made)


@pytest.mark.usefixtures("prepared")
def test_none_is_made_if_one_of_them_cannot_be(capsys: pytest.CaptureFixture[str]) -> None:
    Path("c.yaml").write_text("method: claim\nsubject: {country: '{serial}'}\n")
    words = "make --method claim --serial DE --serial DEU --endpoint h --config c.yaml"
    code, _, err = run(words, capsys)
    assert code == ExitCode.CONFIGURATION_INVALID
    assert "c.yaml: subject.country: " in err
    assert "DEU" in err
    assert not Path(".firstboot/devices").exists()


@pytest.mark.parametrize(
    ("words", "option"),
    [
        ("--serial A --serial A", "--serial"),
        ("--serial A --serial B --out d", "--out"),
        (f"--serial A --serial B --device-id {'0' * 32}", "--device-id"),
    ],
)
def test_option_for_one_device_is_refused_for_several(
    words: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(f"make --method claim {words} --endpoint h", capsys, option)


@pytest.mark.usefixtures("prepared")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("field", ["serial_number", "dn_qualifier", "country"])
def test_value_that_its_field_cannot_hold_is_refused_for_every_method(
    method: str, field: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("c.yaml").write_text(f"method: {method}\nsubject: {{{field}: '{{serial}}'}}\n")
    words = f"make --method {method} --serial sn_1 --endpoint h --config c.yaml --out d"
    code, _, err = run(words, capsys)
    assert code == ExitCode.CONFIGURATION_INVALID
    assert f"c.yaml: subject.{field}: " in err
    assert "sn_1" in err
    assert not Path("d").exists()


@pytest.mark.parametrize(
    ("method", "words"),
    [("bulk", "bulk --count 1 --batch a_b"), ("single-thing", "single --serial sn_1")],
)
def test_value_that_its_field_cannot_hold_is_refused_before_anything_is_made(
    method: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("c.yaml").write_text(f"method: {method}\nsubject: {{serial_number: '{{serial}}'}}\n")
    code, _, err = run(f"{words} --endpoint h --config c.yaml --out d", capsys)
    assert code == ExitCode.CONFIGURATION_INVALID
    assert "c.yaml: subject.serial_number: " in err
    assert not Path("d").exists()
    assert not Path(".firstboot").exists()


@pytest.mark.parametrize(
    ("host", "what"),
    [
        ("abc.iot.eu-central-1.amazonaws.com", "no -ats"),
        ("abc.credentials.iot.eu-central-1.amazonaws.com", "iot:CredentialProvider"),
        ("abc-ats.credentials.iot.eu-central-1.amazonaws.com", "iot:CredentialProvider"),
        ("abc-ats.jobs.iot.eu-central-1.amazonaws.com", "jobs only"),
        ("iot.eu-central-1.amazonaws.com", "not the data endpoint of an account"),
        ("data.iot.eu-central-1.amazonaws.com", "not the data endpoint of an account"),
        ("ABC.IOT.eu-central-1.amazonaws.com", "no -ats"),
    ],
)
def test_endpoint_at_which_no_device_can_connect_is_refused_with_the_right_command(
    host: str, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(f"make --method claim --serial A --endpoint {host}:8883", capsys)
    assert code == ExitCode.CONFIGURATION_INVALID
    assert what in err
    assert "aws iot describe-endpoint --endpoint-type iot:Data-ATS" in err


@pytest.mark.parametrize("method", METHODS)
def test_settings_of_another_method_are_refused(
    method: str, capsys: pytest.CaptureFixture[str]
) -> None:
    other = "jitp" if method != "jitp" else "claim"
    Path("c.yaml").write_text(f"method: {other}\n")
    words = f"make --method {method} --serial A --endpoint h --config c.yaml"
    code, _, err = run(words, capsys)
    assert code == ExitCode.CONFIGURATION_INVALID
    assert f"c.yaml: method: is {other}, and the device is made for {method}" in err


@pytest.mark.usefixtures("prepared")
@pytest.mark.parametrize("method", ["jitp", "jitr", "multi-account", "bulk", "single-thing"])
def test_element_in_the_settings_alone_is_refused_where_the_station_makes_the_key(
    method: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("c.yaml").write_text(f"method: {method}\nkey: {{store: 'pkcs11:token=t'}}\n")
    words = f"make --method {method} --serial A --endpoint h --config c.yaml"
    code, _, err = run(words, capsys)
    assert code == ExitCode.MISUSE
    assert "key.store in c.yaml names a secure element" in err
    assert "--element pkcs11:token=t" in err


@pytest.mark.usefixtures("prepared")
@pytest.mark.parametrize("given", ["", "f" * 32])
def test_device_id_is_that_of_an_interrupted_make_unless_another_is_given(
    given: str, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = DeviceOrder("A", "a" * 32, "h:1", b"")
    admit(Ledger(Path(".firstboot/station")), [Wanted(begun, Path("d"))], "claim")
    words = f"make --method claim --serial A --endpoint h --out d --json --device-id {given}"
    code, out, _ = run(words if given else words.removesuffix(" --device-id "), capsys)
    assert code == ExitCode.DONE
    assert json.loads(out)["device_id"] == (given or "a" * 32)


def test_type_of_a_key_that_aws_makes_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    Path("c.yaml").write_text("method: claim\nkey: {type: ec-p384}\n")
    words = "make --method claim-aws-keys --serial A --endpoint h --config c.yaml"
    code, _, err = run(words, capsys)
    assert code == ExitCode.CONFIGURATION_INVALID
    assert "c.yaml: key.type: is ec-p384, and for claim-aws-keys AWS makes the key" in err


# --- errors as data ------------------------------------------------------------------

FAILING = [
    "ca show",
    "prepare --method claim",
    "make --method claim --serial A --endpoint h",
    "make --method claim --serial a/b",
    "single --serial A",
    "bulk --count 0",
    "bulk --batch none",
    "claim --trusted-user --to none.json",
    "rewrap --state none --to file",
    "lint",
    "lint none.json",
    "manifest LOT",
    "report LOT",
    "verify none.json",
    "retire --serial SN-1",
    "explain --serial SN-1",
    "explain --certificate none.pem",
    "audit",
    "teardown",
]


@pytest.mark.parametrize("words", FAILING)
def test_error_is_one_object_on_stdout(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(f"{words} --json", capsys)
    (line,) = out.splitlines()
    error = json.loads(line)
    assert error.keys() == {"error", "code", "message", "next_step", "exit_code"}
    assert error["exit_code"] == code != ExitCode.DONE
    assert error["message"] in err
    assert error["next_step"] in err


@pytest.mark.parametrize("words", ["--json", "make --json", "ca nonsense --json"])
def test_misuse_is_an_object_too(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words.split()) == ExitCode.MISUSE
    error = json.loads(capsys.readouterr().out)
    assert (error["error"], error["exit_code"]) == ("Misuse", 2)


def test_every_failing_verb_is_tried() -> None:
    assert {words.split()[0] for words in FAILING} == USED.keys()


def test_station_without_a_ca_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with open_or_make_station(Path(".firstboot/station")):
        pass
    code, out, err = run("ca show", capsys)
    assert (code, out) == (ExitCode.FAILED, "")
    assert "has no CA" in err
    assert "next: Make the station's CAs: factory ca init" in err


# --- a wheel without its extra -------------------------------------------------------


@pytest.fixture
def without_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for library in ("boto3", "botocore", "rich"):
        monkeypatch.setitem(sys.modules, library, None)


@pytest.mark.usefixtures("without_extra")
@pytest.mark.parametrize(
    "words",
    [
        "prepare --method claim", "teardown", "single --serial A", "bulk --count 1",
        "claim --trusted-user --to c.json", "lint --method claim --cloud",
    ],
)  # fmt: skip
def test_missing_extra_is_named_with_the_command_that_installs_it(
    words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(words, capsys)
    assert code == ExitCode.CONFIGURATION_INVALID
    assert "is not installed: it comes with the extra 'factory'" in err
    assert "next: Install it: pip install 'firstboot[factory]'" in err


@pytest.mark.usefixtures("without_extra", "prepared")
def test_device_is_made_without_the_extra_where_no_cloud_is_asked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, _, err = run("make --method claim --serial A --endpoint h", capsys)
    assert code == ExitCode.DONE, err


@pytest.mark.usefixtures("without_extra")
def test_bar_without_its_library_names_the_extra() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    with raises(EXTRA_MISSING, match="rich"), progress_on(Terminal(), print):
        pass
