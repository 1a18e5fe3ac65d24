"""scripts/test and scripts/check: what is run, and when they say that something failed."""

import pytest

from scripts import _check, _test

FINE = ("this", "--help")
WRONG = ("no_module_of_this_name",)


@pytest.mark.parametrize("arguments", [[], ["--long"], ["-x"]])
def test_without_names_all_is_run_on_several_workers_with_the_gate(arguments: list[str]) -> None:
    all_of_it, options = _test.plan(arguments)
    assert all_of_it
    assert {"--cov", "--cov-fail-under=95", "--dist=loadfile", *arguments} <= set(options)


@pytest.mark.parametrize("arguments", [["tests/unit"], ["-k", "expiry"]])
def test_what_is_named_is_run_alone(arguments: list[str]) -> None:
    assert _test.plan(arguments) == (False, arguments)


def test_a_long_run_can_be_repeated() -> None:
    _, options = _test.plan(["--long", "tests/property"])
    assert options == ["--long", "--hypothesis-seed=1", "tests/property"]


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
