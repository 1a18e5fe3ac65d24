"""Do the benches compare what they say they compare?"""

import json
import math
import os
import sys
from pathlib import Path

import pytest

from scripts.benchmarks import cli
from scripts.benchmarks.comparison import Figures, Quantity, Side, alternate, compare
from scripts.benchmarks.processes import RunFailedError, measure

WALL = Quantity("wall", "wall time", "s", aim=1.1)


def test_sides_take_turns_and_the_first_round_does_not_count() -> None:
    played: list[str] = []

    def side(name: str) -> Side:
        def run(number: int) -> Figures:
            played.append(name)
            return {"wall": float(number)}

        return run

    ours, theirs = alternate([side("A"), side("B")], rounds=3)

    assert "".join(played) == "BAABBAAB"
    assert [figures["wall"] for figures in ours] == [1.0, 2.0, 3.0]
    assert len(theirs) == 3


def test_one_slow_run_moves_neither_ratio() -> None:
    ours = [{"wall": wall} for wall in (2.0, 2.0, 90.0, 2.0, 2.0)]
    [row] = compare([WALL], ours, [{"wall": 4.0}] * 5)

    assert (row.ratio, row.paired_ratio) == (0.5, 0.5)


def test_drift_that_hits_both_sides_leaves_the_paired_ratio_alone() -> None:
    yardstick = [{"wall": wall} for wall in (1.0, 1.0, 4.0, 4.0)]
    ours = [{"wall": 1.05 * figures["wall"]} for figures in yardstick]
    [row] = compare([WALL], ours, yardstick)

    assert row.paired_ratio == pytest.approx(1.05)
    assert row.meets_aim


def test_nothing_has_no_ratio() -> None:
    [row] = compare([WALL], [{"wall": 1.0}], [{"wall": 0.0}])

    assert math.isnan(row.ratio)


def test_an_aim_can_be_missed() -> None:
    [row] = compare([WALL], [{"wall": 1.2}], [{"wall": 1.0}])

    assert row.meets_aim is False


def test_a_run_costs_what_the_child_used(tmp_path: Path) -> None:
    work = "data = b'x' * (256 * 2**20); print(len(data))"
    idle = measure([sys.executable, "-c", "pass"], os.environ, tmp_path)
    busy = measure([sys.executable, "-c", work], os.environ, tmp_path)

    assert busy.memory > 256  # of `idle` nothing can be said: it reads what this worker holds
    assert 0 < idle.cpu < busy.cpu
    assert busy.output == f"{256 * 2**20}\n"


def test_a_command_that_fails_is_not_measured(tmp_path: Path) -> None:
    with pytest.raises(RunFailedError, match=r"ended with 3:\nout of paper"):
        measure(
            [sys.executable, "-c", "print('out of paper'); raise SystemExit(3)"],
            os.environ,
            tmp_path,
        )


def known_figures(rounds: int) -> cli.Rows:
    return {"a": compare([WALL], [{"wall": 1.5}] * rounds, [{"wall": 1.0}] * rounds)}


KNOWN = {"known": cli.Bench("a against b", "b", known_figures)}


def test_the_table_says_which_aim_is_missed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["known"], KNOWN) == 0

    assert "1.50    1.50  1.10 MISSED" in capsys.readouterr().out


def test_json_is_one_object_alone_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["known", "--json", "-n", "1"], KNOWN) == 0

    found = json.loads(capsys.readouterr().out)
    assert found["results"]["a"]["wall"] == {
        "unit": "s",
        "ours": 1.5,
        "yardstick": 1.0,
        "ratio": 1.5,
        "paired_ratio": 1.5,
        "aim": 1.1,
    }


@pytest.mark.parametrize("rounds", ["0", "-1", "many"])
def test_a_number_of_rounds_that_measures_nothing_is_misuse(rounds: str) -> None:
    with pytest.raises(SystemExit) as exit_:
        cli.main(["known", "-n", rounds], KNOWN)
    assert exit_.value.code == 2
