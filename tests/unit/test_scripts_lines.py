"""scripts/_lines.py: which lines count as run, and how many per cent of all they are."""

import subprocess
import sys
from pathlib import Path

import coverage
import pytest

from scripts import _lines

ROOT = Path(__file__).parents[2]


def lines_of(folder: Path, module: str) -> set[int]:
    """Return the lines of a module that a process has stored as run."""
    (stored,) = folder.glob("lines*")
    data = coverage.CoverageData(basename=str(stored))
    data.read()
    return set(data.lines(str(ROOT / module)) or [])


def lines_with(module: str, *words: str) -> set[int]:
    """Return the numbers of the lines that begin so."""
    lines = enumerate((ROOT / module).read_text(encoding="utf-8").splitlines(), 1)
    return {number for number, line in lines if line.strip().startswith(words)}


def test_a_measured_process_stores_the_lines_that_it_ran_and_no_others(tmp_path: Path) -> None:
    words = [sys.executable, "-P", _lines.__file__, str(tmp_path), "device", "explain", "FB-106"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)

    assert done.returncode == 0, done.stderr
    ran = lines_of(tmp_path, "device/cli.py")
    assert lines_with("device/cli.py", "def main") <= ran
    assert not lines_with("device/cli.py", "except") & ran


def test_lines_that_one_of_several_processes_ran_are_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "product"
    source.mkdir()
    (source / "module.py").write_text("one = 1\nif one:\n    two = 2\nthree = 3\n")
    for lines in ([1], [1, 2]):
        data = coverage.CoverageData(basename=str(tmp_path / "lines"), suffix=True)
        data.add_lines({str(source / "module.py"): lines})
        data.write()

    assert _lines.percentage(tmp_path, [source]) == 50.0
    assert "3-4" in capsys.readouterr().out


def test_what_no_test_imports_counts_as_not_run(tmp_path: Path) -> None:
    source = tmp_path / "product"
    source.mkdir()
    for name in ("tried", "forgotten"):
        (source / f"{name}.py").write_text("one = 1\n")
    data = coverage.CoverageData(basename=str(tmp_path / "lines"), suffix=True)
    data.add_lines({str(source / "tried.py"): [1]})
    data.write()

    assert _lines.percentage(tmp_path, [source]) == 50.0


def test_a_run_that_stored_nothing_has_run_nothing(tmp_path: Path) -> None:
    assert _lines.percentage(tmp_path) == 0.0
