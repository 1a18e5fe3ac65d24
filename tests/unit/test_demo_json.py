"""What ``scripts/demo --json`` prints when something fails."""

import json
from pathlib import Path
from typing import Any

import pytest

from scripts.demonstration.cli import main
from tests.support.schemas import check_line


def said_by(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Return the one line that was printed, which the schema allows."""
    [line] = capsys.readouterr().out.splitlines()
    found: dict[str, Any] = json.loads(line)
    check_line("scripts-demo", found)
    return found


def fail_with(folder: Path, *words: str) -> None:
    """Let the demo's first command say ``words`` on standard error and end with 4."""
    command = folder / "localcloud"
    said = "".join(f"echo {word!r} >&2\n" for word in words)
    command.write_text(f"#!/bin/sh\n{said}exit 4\n")
    command.chmod(0o700)


@pytest.fixture(autouse=True)
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)


def test_an_error_of_a_command_is_told_with_its_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fail_with(tmp_path, "localcloud: error FB-999: no", "  next: something else")
    assert main(["--json"]) == 4
    said = said_by(capsys)
    assert (said["method"], said["published"], said["exit_code"]) == ("claim", False, 4)
    assert (said["code"], said["message"], said["next_step"]) == ("FB-999", "no", "something else")


@pytest.mark.parametrize("words", [(), ("Segmentation fault",)])
def test_another_failure_is_told_without_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    fail_with(tmp_path, *words)
    assert main(["--json"]) == 4
    said = said_by(capsys)
    assert "code" not in said
    assert said["message"] == "".join(words or ("it said nothing",))
    assert said["next_step"].startswith("Run it by itself: localcloud up")


@pytest.mark.parametrize(
    "words", [["--method", "none"], ["--method", "claim-aws-keys", "--element", "softhsm"]]
)
def test_misuse_is_told_in_json(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    with pytest.raises(SystemExit):
        main([*words, "--json"])
    assert said_by(capsys)["error"] == "MisuseError"
