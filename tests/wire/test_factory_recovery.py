"""What recoveries need is prepared whole and removed as it was found, whatever cuts it short."""

from typing import Final

import pytest

from factory.account.aws import Aws
from factory.account.changes import Outcome, Report
from factory.account.cloud import Cloud
from factory.methods import recovery
from tests.support.preparations import outcomes, step_by_step
from tests.support.station_cloud import CutCloud, aws_of, contents
from tests.wire.conftest import LocalCloud

pytestmark = pytest.mark.wire

ACCOUNT: Final = "615987654322"
"""Each test finds it, and leaves it, empty."""


@pytest.fixture(scope="module")
def empty(local_cloud: LocalCloud) -> Aws:
    return aws_of(local_cloud, account=ACCOUNT)


def prepared(cloud: Cloud) -> Report:
    return recovery.prepare(cloud, 30)


def test_all_is_made_and_said_then_removed_and_said(empty: Aws) -> None:
    before = contents(empty)

    assert outcomes(prepared(empty)) == {Outcome.CREATED}

    watched = CutCloud(empty)
    assert outcomes(prepared(watched)) == {Outcome.UNCHANGED}
    assert watched.changes == []
    assert outcomes(recovery.teardown(empty)) - {Outcome.ABSENT} == {Outcome.REMOVED}
    assert contents(empty) == before


@pytest.mark.parametrize("reply_lost", [False, True], ids=["never-sent", "reply-lost"])
def test_runs_that_are_cut_at_every_change_come_to_their_end(
    empty: Aws, *, reply_lost: bool
) -> None:
    before = contents(empty)

    step_by_step(prepared, empty, reply_lost=reply_lost)

    assert outcomes(prepared(empty)) == {Outcome.UNCHANGED}
    step_by_step(recovery.teardown, empty, reply_lost=reply_lost)
    assert contents(empty) == before
