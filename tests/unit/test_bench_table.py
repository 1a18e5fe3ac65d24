"""``scripts/bench table``: is every line filled from the bench that it names?"""

from collections.abc import Mapping

import pytest

from scripts.benchmarks.cli import BENCHES, main
from scripts.benchmarks.comparison import Quantity, Row
from scripts.benchmarks.processes import BenchError
from scripts.benchmarks.table import LINES, Line, table

WALL = Quantity("wall", "wall time", "s", aim=0.65)
LINE = Line("P1", "first boot", "first-boot", frozenset({"wall"}), part="device")


def rows(*_: object) -> Mapping[str, list[Row]]:
    """What a bench found: one part that the line shows, and one that it does not."""
    row = Row(WALL, 0.2, 0.4, 0.5, 0.52)
    return {"device boot": [row], "the disk": [row]}


def test_a_line_shows_the_rows_of_its_part() -> None:
    (shown,) = [line for line in table(rows, [LINE]) if line.startswith("| P1")]
    assert shown == (
        "| P1 | first boot: device boot, wall time | 0.2 s | 0.4 s | 0.50 | 0.52 | 0.65 "
        "| `scripts/bench first-boot` |"
    )


def test_a_bench_of_two_lines_runs_once() -> None:
    ran: list[str] = []

    def measure(name: str) -> Mapping[str, list[Row]]:
        ran.append(name)
        return rows()

    list(table(measure, [LINE, LINE]))
    assert ran == ["first-boot"]


def test_a_bench_that_fails_leaves_the_other_lines() -> None:
    def measure(name: str) -> Mapping[str, list[Row]]:
        if name == "slow":
            raise BenchError("no local AWS |\nhere")
        return rows()

    slow = Line("P10", "slow", "slow", frozenset({"wall"}))
    lines = [each for each in table(measure, [slow, LINE]) if each.startswith("| P")]
    assert lines[0] == "| P10 | slow | not measured: no local AWS / here | | | | | `slow` |"
    assert lines[1].startswith("| P1 ")


def test_every_number_has_a_line_and_every_line_a_bench() -> None:
    assert [line.number for line in LINES] == [f"P{number}" for number in range(1, 11)]
    assert {line.bench for line in LINES} <= BENCHES.keys()


def test_help_names_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "P1 to P10" in capsys.readouterr().out
