"""Do the commands of each code of the catalogue end in that error?"""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from device.cli import main as device
from device.errors import Row
from device.errors.catalogue import CATALOGUE as DEVICE_ROWS
from factory.cli import main as factory
from factory.errors.catalogue import OWN as STATION_ROWS
from localcloud.cli import main as localcloud
from localcloud.errors import CATALOGUE as LOCAL_ROWS
from localcloud.errors import Row as LocalRow
from scripts.recording.page import CHECKOUT, commands
from scripts.recording.stage import Shell, Stage, open_stage
from tests.support.quick_commands import quick_commands

ROWS: Final[list[Row | LocalRow]] = [
    *DEVICE_ROWS.values(), *STATION_ROWS.values(), *LOCAL_ROWS.values(),
]  # fmt: skip
REPRODUCED: Final = [row for row in ROWS if row.reproduce]
MAINS: Final = {"device": device, "factory": factory, "localcloud": localcloud}
_MARK: Final = re.compile(r"(?P<line>.*?)  # (?P<code>FB-\d{3})")
PREPARED: Final = commands(
    (CHECKOUT / "docs" / "errors.md").read_text(encoding="utf-8"), "Reproduce an error"
)


def is_alone(row: Row | LocalRow) -> bool:
    """Whether the row is one plain command, which needs nothing that was prepared."""
    return len(row.commands) == 1 and row.code in ALONE


ALONE: Final = {
    "FB-003", "FB-005", "FB-112", "FB-501", "FB-504", "FB-741", "FB-823", "FB-903", "FB-913",
}  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=repr)
def test_a_row_has_commands_or_says_what_the_error_needs(row: Row | LocalRow) -> None:
    assert bool(row.reproduce) != bool(row.needs)
    marks = [found["code"] for line in row.commands if (found := _MARK.fullmatch(line))]
    assert marks == [row.code] * bool(row.reproduce)


@pytest.mark.parametrize("row", [row for row in ROWS if row.needs], ids=repr)
def test_a_row_without_commands_is_raised_by_another_test(row: Row | LocalRow) -> None:
    names = {name for name, code in CONSTANTS.items() if code == row.code} | {row.name, row.code}
    assert names & WORDS_OF_TESTS, names


WORDS_OF_TESTS: Final = {
    word
    for path in (CHECKOUT / "tests").rglob("*.py")
    if path != Path(__file__)
    for word in re.findall(r"FB-\d{3}|\w+", path.read_text(encoding="utf-8"))
}
CONSTANTS: Final = {
    name: code
    for folder in ("device", "factory", "localcloud")
    for path in (CHECKOUT / folder).rglob("*.py")
    for name, code in re.findall(
        r'^(\w+): Final = Row\(\s*"(FB-\d+)"', path.read_text(encoding="utf-8"), re.MULTILINE
    )
}


@pytest.mark.parametrize("row", [row for row in REPRODUCED if is_alone(row)], ids=repr)
def test_one_plain_command_ends_in_its_error(
    row: Row | LocalRow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    program, *words = shlex.split(row.commands[0], comments=True)
    try:
        code = MAINS[program]([*words, *(["--json"] if "--json" not in words else [])])
    except SystemExit as ended:  # argparse
        code = int(ended.code or 0)

    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (last["code"], code) == (row.code, int(row.exit_code))


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A folder in which what docs/errors.md prepares is prepared."""
    folder = tmp_path_factory.mktemp("commands")
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    with quick_commands(folder) as programs, open_stage(programs) as opened:
        with opened.shell() as shell:
            for line in PREPARED:
                if not line.startswith(("localcloud up", "eval")):  # the stage did so
                    shell.run(line)
            exported = shell.run("env | grep ^DEVICE_CONNECTION")
        variables = dict(line.split("=", 1) for line in exported.splitlines())
        yield replace(opened, environment={**opened.environment, **variables})


@pytest.mark.long
@pytest.mark.wire
@pytest.mark.parametrize("row", REPRODUCED, ids=repr)
def test_the_commands_of_a_row_end_in_its_error(row: Row | LocalRow, stage: Stage) -> None:
    with stage.shell() as shell:
        for line in row.commands:
            play(shell, line)
    stage.admin("DELETE", "faults")


def play(shell: Shell, line: str) -> None:
    """Run a line; one with a mark has to fail, and to print the code."""
    found = _MARK.fullmatch(line)
    if found is None:
        shell.run(line)
        return
    said = shell.run(f"! {{ {found['line']}; }}")
    assert re.search(rf"(\[|\(|error |because of |code\W+){found['code']}", said), said


@pytest.mark.parametrize("row", REPRODUCED, ids=repr)
def test_the_lines_of_a_row_are_lines_of_a_shell(row: Row | LocalRow) -> None:
    script = "\n".join(row.commands)
    done = subprocess.run(
        ["/bin/sh", "-n"], input=script, text=True, capture_output=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
