"""README and docs/commands.md say what is so: --help, exit codes, methods, the two scripts."""

import os
import re
import subprocess
from pathlib import Path

import pytest

import localcloud.errors
from device.errors import ExitCode
from scripts._docs import help_of
from scripts.demonstration.methods import METHODS
from tests.support.hang import SECONDS
from tests.unit.test_import_rules import FACTORY_MAY_USE

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("line", re.findall(r"^\$ ([a-z ]+) --help$", COMMANDS, re.MULTILINE))
def test_each_help_is_what_the_command_prints(line: str) -> None:
    shown = f"```console\n$ {line} --help\n{help_of(line)}```\n"
    assert shown in COMMANDS, "run scripts/docs"


@pytest.mark.parametrize("command", ["device", "factory", "localcloud"])
def test_each_command_is_shown(command: str) -> None:
    assert f"$ {command} --help\n" in COMMANDS


@pytest.mark.parametrize("method", METHODS)
def test_each_method_is_named_with_its_page(method: str) -> None:
    assert f"](docs/{method}.md) `{method}` |" in README


@pytest.mark.parametrize("code", ExitCode)
def test_each_exit_code_is_explained(code: ExitCode) -> None:
    rows = re.findall(rf"^\| {int(code)} \| (.+) \|$", COMMANDS, re.MULTILINE)
    assert len(rows) == 1


def test_the_local_aws_uses_the_exit_codes_that_are_said() -> None:
    (listed,) = re.findall(r"`localcloud` uses only (\d(?:, \d)* and \d)", COMMANDS)
    assert {int(each) for each in re.findall(r"\d", listed)} == set(localcloud.errors.ExitCode)


def test_what_the_factory_may_import_is_what_the_rules_allow() -> None:
    (row,) = re.findall(r"^\| `factory/` \|.*\| (.+) \|$", README, re.MULTILINE)
    assert tuple(re.findall(r"`(.+?)`", row)) == FACTORY_MAY_USE


@pytest.mark.parametrize("script", ["demo", "test"])
def test_the_two_commands_run_from_a_fresh_clone(script: str) -> None:
    """Executable, and with a --help that needs no virtual environment of the checkout."""
    assert f"$ ./scripts/{script}\n" in README
    done = subprocess.run(
        [ROOT / "scripts" / script, "--help"],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
        timeout=SECONDS,
    )
    assert done.stdout.startswith(f"usage: scripts/{script}")
