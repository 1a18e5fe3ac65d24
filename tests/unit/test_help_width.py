"""Does each help fit a screen of 80 columns, without colours, and any output a stream of ASCII?"""

import sys
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO, TextIOWrapper

import pytest

from advisor.cli import main as advisor
from device.cli import main as device
from factory.cli import main as factory
from fleet.cli import main as fleet
from localcloud.cli import main as localcloud
from scripts._man import PARSERS, verbs_of

MAINS: dict[str, Callable[[list[str]], object]] = {
    "advisor": advisor, "device": device, "factory": factory, "fleet": fleet,
    "localcloud": localcloud,
}  # fmt: skip
LINES = [
    f"{command} {verb}".strip()
    for command in MAINS
    for verb in ("", *(verbs_of(PARSERS[command]()) if command in PARSERS else ()))
]


def shown(line: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return what a line writes to a standard output that takes ASCII only."""
    command, *words = line.split()
    content = BytesIO()
    with monkeypatch.context() as context:
        context.setattr(sys, "stdout", TextIOWrapper(content, encoding="ascii"))
        with suppress(SystemExit):
            MAINS[command](words)
        sys.stdout.flush()
        return content.getvalue().decode("ascii")


@pytest.mark.parametrize("columns", ["40", "80", "200"])
@pytest.mark.parametrize("line", LINES)
def test_the_help_fits(line: str, columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("NO_COLOR", "1")
    said = shown(f"{line} --help", monkeypatch)
    assert said.startswith("usage: ")
    assert [each for each in said.splitlines() if len(each) > 80] == []
    assert "\x1b" not in said


@pytest.mark.parametrize(
    "line",
    [
        "device explain é", "device status --state é", "device doctor --offline --state é",
        "device status --json --state é", "factory report é", "factory lint é.json",
        "factory verify é --json", "factory explain é", "localcloud status --state é",
        "localcloud status --json --state é", "localcloud logs --state é", "localcloud explain é",
        "localcloud status --state \udcff", "device status --state \udcff --json",
    ],
)  # fmt: skip
def test_a_name_that_the_stream_cannot_hold_is_escaped(
    line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is raised; ``shown`` decodes what was written as ASCII."""
    said = shown(line, monkeypatch)
    if "status" in line and ("localcloud" in line or "--json" in line):
        assert "\\" in said
