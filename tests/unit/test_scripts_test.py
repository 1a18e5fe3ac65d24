"""scripts/test and scripts/check: what is run, and when they say that something failed."""

import shutil
import sys
from pathlib import Path

import pytest

from scripts import _check, _test

ROOT = Path(__file__).parents[2]
FINE = ("this", "--help")
WRONG = ("no_module_of_this_name",)


@pytest.mark.parametrize("arguments", [[], ["--long"], ["-x"]])
def test_without_names_all_is_run_on_several_workers(arguments: list[str]) -> None:
    all_of_it, options = _test.plan(arguments)
    assert all_of_it
    assert {"--dist=loadfile", *arguments} <= set(options)


def test_a_run_below_the_gate_of_coverage_fails() -> None:
    assert _test.below(95.0, 95.0) == []
    assert _test.below(95.0, 94.96) == ["coverage (94.96 %, not 95 %)"]


def test_what_ci_runs_is_what_the_readme_says() -> None:
    *_, command = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert command == 'CI=true exec "$(dirname "$0")/../scripts/test" "$@"'
    assert "$ ./scripts/test\n" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("arguments", [["tests/unit"], ["-k", "expiry"]])
def test_what_is_named_is_run_alone(arguments: list[str]) -> None:
    assert _test.plan(arguments) == (False, arguments)


def test_a_long_run_can_be_repeated() -> None:
    _, options = _test.plan(["--long", "tests/property"])
    assert options == ["--long", "--hypothesis-seed=1", "tests/property"]


def test_folders_are_in_memory_and_gone_afterwards(tmp_path: Path) -> None:
    with _test.folders_in_memory(tmp_path, 1) as variables:
        folder = Path(variables["PYTEST_DEBUG_TEMPROOT"])
        assert folder.parent == tmp_path
        assert folder.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_where_memory_is_short_or_missing_folders_are_where_they_always_are(
    tmp_path: Path,
) -> None:
    too_much = shutil.disk_usage(tmp_path).total + 1
    for memory, enough in ((tmp_path, too_much), (tmp_path / "none", 1)):
        with _test.folders_in_memory(memory, enough) as variables:
            assert variables == {}


def test_what_was_compiled_is_kept_whatever_the_user_has_set() -> None:
    made = _test.with_bytecode({"PYTHONDONTWRITEBYTECODE": "1"})
    assert made == {"PYTHONPYCACHEPREFIX": f"{sys.prefix}/bytecode"}
    assert _test.with_bytecode({"PYTHONPYCACHEPREFIX": "theirs"}) == {
        "PYTHONPYCACHEPREFIX": "theirs"
    }


@pytest.mark.parametrize(
    ("tests", "failed", "code"), [(0, [], 0), (1, [], 1), (0, ["lint"], 1), (5, ["lint"], 5)]
)
def test_a_failed_check_fails_the_run(tests: int, failed: list[str], code: int) -> None:
    assert _test.verdict(tests, failed) == code


def test_a_failed_check_is_named_with_what_it_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert _check.failures({"zen": FINE, "types": WRONG}) == ["types"]
    said = capsys.readouterr().out
    assert "zen        ok" in said
    assert "types      failed" in said
    assert "No module named no_module_of_this_name" in said
    assert "Beautiful is better" not in said, "a check that passed says nothing"
