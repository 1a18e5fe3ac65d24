"""What renewals need is prepared whole, whatever cuts it short, and removed as it was found."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from factory.account.aws import Aws
from factory.account.changes import Outcome
from factory.account.cloud import text
from factory.account.thing_policy import THING_POLICY
from factory.methods import renewal
from tests.support.preparations import CASES, is_whole, outcomes, prepare, step_by_step, teardown
from tests.support.station_cloud import CutCloud, aws_of, contents
from tests.wire.conftest import LocalCloud

pytestmark = pytest.mark.wire

ACCOUNT: Final = "615987654321"
"""Each test finds it, and leaves it, empty."""


@pytest.fixture(scope="module")
def empty(local_cloud: LocalCloud) -> Aws:
    return aws_of(local_cloud, account=ACCOUNT)


def actions_in(cloud: Aws) -> str:
    """Return the text of the device policy."""
    return text(cloud.call("iot", "GetPolicy", policyName=THING_POLICY), "policyDocument")


def test_all_is_made_and_said_then_removed_and_said(empty: Aws) -> None:
    before = contents(empty)

    assert outcomes(renewal.prepare(empty)) == {Outcome.CREATED}

    watched = CutCloud(empty)
    assert outcomes(renewal.prepare(watched)) == {Outcome.UNCHANGED}
    assert watched.changes == []
    removed = outcomes(renewal.teardown(empty, devices=False))
    assert removed - {Outcome.ABSENT} == {Outcome.REMOVED}
    assert contents(empty) == before
    assert outcomes(renewal.teardown(empty, devices=False)) == {Outcome.ABSENT}


@pytest.mark.parametrize("reply_lost", [False, True], ids=["never-sent", "reply-lost"])
def test_runs_that_are_cut_at_every_change_come_to_their_end(
    empty: Aws, *, reply_lost: bool
) -> None:
    before = contents(empty)

    step_by_step(renewal.prepare, empty, reply_lost=reply_lost)

    assert outcomes(renewal.prepare(empty)) == {Outcome.UNCHANGED}
    step_by_step(lambda cloud: renewal.teardown(cloud, devices=False), empty, reply_lost=reply_lost)
    assert contents(empty) == before, "something was made twice, or forgotten"


@pytest.mark.parametrize("is_renewal_first", [True, False])
def test_the_device_policy_lets_devices_renew_as_long_as_that_is_prepared(
    empty: Aws, tmp_path: Path, *, is_renewal_first: bool
) -> None:
    before, case, folder = contents(empty), CASES["claim"], tmp_path / "station"
    steps: list[Callable[[], object]] = [
        lambda: renewal.prepare(empty),
        lambda: prepare(case, empty, folder),
    ]
    for step in steps if is_renewal_first else reversed(steps):
        step()
    assert "firstboot/renewal" in actions_in(empty)
    assert is_whole(case, empty, folder), "the method does not take it away again"

    renewal.teardown(empty, devices=False)

    plain = json.loads(actions_in(empty))
    assert "firstboot/renewal" not in json.dumps(plain)
    assert is_whole(case, empty, folder)
    teardown(case, empty, folder)
    assert contents(empty) == before


def test_a_retired_certificate_goes_with_the_devices(empty: Aws) -> None:
    before = contents(empty)
    renewal.prepare(empty)
    made = empty.call("iot", "CreateKeysAndCertificate", setAsActive=False)
    arn = text(made, "certificateArn")
    empty.call("iot", "AttachPolicy", policyName=THING_POLICY, target=arn)

    kept = renewal.teardown(empty, devices=False)
    assert Outcome.KEPT in outcomes(kept)
    renewal.teardown(empty, devices=True)

    assert contents(empty) == before
