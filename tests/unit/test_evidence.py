"""When is there enough evidence against a certificate? Never in a burst, whatever restarts."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from device.provisioning.evidence import MAX_GIVEN_UP, ROUNDS, SPACING_SECONDS, Evidence, spacing

MINUTES = SPACING_SECONDS * (ROUNDS - 1)


def after(moments: list[float]) -> Evidence:
    evidence = Evidence()
    for moment in moments:
        evidence = evidence.and_a_round(moment)
    return evidence


@given(st.lists(st.floats(0, MINUTES - 1e-6), max_size=40))
def test_a_burst_is_one_refusal(moments: list[float]) -> None:
    assert not after(sorted(moments)).suffices


@given(start=st.floats(0, 1e6), gap=st.floats(1.0, 120.0))
def test_refusals_over_minutes_are_enough(start: float, gap: float) -> None:
    rounds = int((MINUTES + 4 * 120) / gap) + ROUNDS
    assert after([start + number * gap for number in range(rounds)]).suffices


def test_rounds_a_minute_apart_count() -> None:
    moments = [number * SPACING_SECONDS for number in range(ROUNDS)]
    assert after(moments).suffices
    assert not after(moments[:-1]).suffices


def test_time_under_power_adds_up_over_restarts() -> None:
    """Each boot sees two rounds twenty seconds apart, soon after the system started."""
    boots = [moment for _ in range(12) for moment in (5.0, 25.0)]
    assert after(boots).suffices


def test_restarts_alone_are_no_time() -> None:
    assert after([1.0] * 20).rounds < ROUNDS


def test_each_certificate_given_up_makes_the_next_wait_twice_as_long() -> None:
    waits = [spacing(given_up) for given_up in range(MAX_GIVEN_UP + 1)]

    assert waits[0] == SPACING_SECONDS
    assert all(later == 2 * sooner for sooner, later in pairwise(waits))
    once = Evidence().and_a_round(0.0, 1)
    assert once.and_a_round(waits[0], 1).rounds == 1
    assert once.and_a_round(waits[1], 1).rounds == 2
