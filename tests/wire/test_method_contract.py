"""Every method prepares an account whole, whatever cuts it short, and leaves it as it found it."""

from pathlib import Path
from typing import Final

import pytest

from factory.account.aws import Aws
from factory.account.changes import Outcome
from factory.methods import jitr
from tests.support.preparations import (
    CASES,
    SIDE_BY_SIDE,
    Case,
    is_whole,
    outcome_of,
    outcomes,
    prepare,
    step_by_step,
    teardown,
)
from tests.support.station_cloud import aws_of, contents, keys_that_can_sign
from tests.wire.conftest import LocalCloud

pytestmark = pytest.mark.wire

ACCOUNT: Final = "610987654321"
"""Each test finds it, and leaves it, empty."""


@pytest.fixture(scope="module")
def empty(local_cloud: LocalCloud) -> Aws:
    return aws_of(local_cloud, account=ACCOUNT)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "station"


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_all_is_made_and_said_then_removed_and_said(case: Case, empty: Aws, folder: Path) -> None:
    before = contents(empty)

    assert outcomes(prepare(case, empty, folder)) == {Outcome.CREATED}

    assert contents(empty) != before
    assert is_whole(case, empty, folder)
    removed = outcomes(case.method.teardown(empty, None, devices=False))
    assert removed - {Outcome.ABSENT} == {Outcome.REMOVED}
    assert contents(empty) == before
    assert keys_that_can_sign(empty) == 0
    assert outcomes(case.method.teardown(empty, None, devices=False)) == {Outcome.ABSENT}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize(
    "reply_lost",
    [
        pytest.param(False, id="never-sent-first"),
        pytest.param(True, id="reply-lost-first", marks=pytest.mark.long),
    ],
)
def test_runs_that_are_cut_at_every_change_come_to_their_end(
    case: Case, empty: Aws, folder: Path, *, reply_lost: bool
) -> None:
    before = contents(empty)

    made = step_by_step(lambda cloud: prepare(case, cloud, folder), empty, reply_lost=reply_lost)

    assert is_whole(case, empty, folder)
    assert keys_that_can_sign(empty) == made.count("CreateAlias"), "one of each name"
    undone = step_by_step(lambda cloud: teardown(case, cloud, folder), empty, reply_lost=reply_lost)
    assert contents(empty) == before, "something was made twice, or forgotten"
    assert keys_that_can_sign(empty) == 0
    if case.method.name == "claim-own-ca":
        assert made[-1] == "CreateCertificateProvider", "nobody asks before all is there"
        assert undone[0] == "DeleteCertificateProvider", "AWS IoT signs again at once"


def test_log_group_of_somebody_else_is_used_and_kept(empty: Aws, folder: Path) -> None:
    name = f"/aws/lambda/{jitr.FUNCTION}"
    empty.call("logs", "CreateLogGroup", logGroupName=name)

    prepared = prepare(CASES["jitr"], empty, folder)
    removed = teardown(CASES["jitr"], empty, folder)

    assert outcome_of(prepared, "log group") == (Outcome.UNCHANGED, "")
    assert outcome_of(removed, "log group") == (Outcome.KEPT, "the station did not create it")
    empty.call("logs", "DeleteLogGroup", logGroupName=name)


def test_each_method_leaves_what_the_others_need(empty: Aws, folder: Path) -> None:
    before = contents(empty)
    cases = [CASES[name] for name in SIDE_BY_SIDE]
    for case in cases:
        prepare(case, empty, folder)
    assert [is_whole(case, empty, folder) for case in cases] == [True] * 4

    reports = [teardown(case, empty, folder) for case in cases]

    policy = [outcome_of(report, "thing policy") for report in reports]
    assert [outcome for outcome, _ in policy] == [Outcome.KEPT] * 3 + [Outcome.REMOVED]
    assert policy[0][1] == "still needed: claim, jitr, multi-account"
    allow_list = [outcome_of(reports[at], "allow-list (DynamoDB)") for at in (1, 3)]
    assert allow_list == [(Outcome.KEPT, "still needed: claim"), (Outcome.REMOVED, "")]
    assert contents(empty) == before
