"""The table of foreign clients."""

from scripts._foreign import table_of
from tests.foreign.cases import CASES, STEPS


def test_a_client_has_a_line_and_a_step_a_column() -> None:
    outcomes = {"paho 1": {"connect 5": "pass", "job": "FAIL: TimeoutError"}, "other 2": {}}
    head, rule, paho, other = table_of(outcomes).splitlines()
    assert head == f"| client | {' | '.join(STEPS)} |"
    assert len(rule.split("|")) == len(head.split("|"))
    assert paho == "| paho 1 | - | pass | - | - | - | FAIL: TimeoutError | - |"
    assert other.count("-") == len(STEPS)


def test_every_step_has_a_column() -> None:
    assert {case.step for case in CASES} == set(STEPS)
