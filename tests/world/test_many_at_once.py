"""Two hundred devices at once: is the account's quota enough, and do all of them come home?

Without ``--long`` they are twenty, which is also more than the quota lets in a second.
"""

from pathlib import Path

import pytest

from tests.support.effort import is_long
from tests.world.world import DAY, HOUR, Outcome, Shape, World

DEVICES = 200 if is_long() else 20
RESTART = 600.0
CROWD = Shape(
    DEVICES, hostile=900.0, honest=1.0, interval=HOUR, together=True, methods=("claim",),
    broker_restarts_at=RESTART,
)  # fmt: skip
STORM = 2_400.0
STORMY = Shape(
    DEVICES, hostile=STORM + 600.0, honest=1.0, interval=HOUR, together=True, methods=("claim",),
    renewed_after=1_800.0, blackout=(STORM - 900.0, STORM),
)  # fmt: skip
"""All become due while there is no power, which comes back for all in one second."""
QUIET: frozenset[tuple[str, str, int]] = frozenset()
"""Nothing goes wrong but that they are so many."""


def percentile(numbers: list[float], percent: int) -> float:
    """Return the number that ``percent`` of them do not exceed."""
    ordered = sorted(numbers)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def told(what: str, numbers: list[float]) -> str:
    """Return a line of percentiles, in seconds."""
    shown = ", ".join(f"p{p} {percentile(numbers, p):.1f} s" for p in (50, 95, 99, 100))
    return f"{what}: {shown}"


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """First boots together at second 0, and a broker that restarts ten minutes later."""
    return World(1, tmp_path_factory.mktemp("crowd"), CROWD, only=QUIET).run()


def test_first_boots_together_end_well(crowd: Outcome) -> None:
    print(told("first boot at once", crowd.proven_at))  # noqa: T201 - shown with -s

    assert crowd.broken == ""
    assert len(crowd.proven_at) == DEVICES
    assert crowd.throttled > 0, "they are not too many for the quota: the test asks nothing"
    assert max(crowd.proven_at) < 600.0


def test_no_more_things_are_registered_in_a_second_than_the_quota_lets(crowd: Outcome) -> None:
    assert crowd.peak_registrations <= 2 * 10  # a full bucket, and what came in meanwhile


def test_after_a_restart_of_the_broker_all_are_back(crowd: Outcome) -> None:
    print(told("back after a restart of the broker", crowd.back_after))  # noqa: T201 - shown with -s

    assert len(crowd.back_after) == DEVICES
    assert max(crowd.back_after) < 60.0
    spread = percentile(crowd.back_after, 95) - percentile(crowd.back_after, 5)
    assert spread > 0.5, "they come back as a crowd"


def test_a_storm_of_renewals_ends_well(tmp_path: Path) -> None:
    outcome = World(1, tmp_path, STORMY, only=QUIET).run()
    print(told("renewed in a storm", [at - STORM for at in outcome.renewed_at]))  # noqa: T201 - shown with -s

    assert outcome.broken == ""
    assert outcome.renewals == DEVICES
    assert min(outcome.renewed_at) > STORM
    assert max(outcome.renewed_at) < STORM + 600.0
    assert outcome.peak_registrations <= 2 * 10


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
def test_a_crowd_among_accidents_ends_well(seed: int, tmp_path: Path) -> None:
    shape = Shape(DEVICES, hostile=HOUR, honest=DAY / 2, interval=3600.0, together=True)
    outcome = World(seed, tmp_path, shape).run()
    print(told(f"seed {seed}, first boot among accidents", outcome.proven_at))  # noqa: T201 - shown with -s

    assert outcome.broken == ""
    assert len(outcome.proven_at) == DEVICES
