"""When is there enough evidence against a certificate? Never in a burst, whatever restarts."""

from hypothesis import given
from hypothesis import strategies as st

from device.provisioning.evidence import ROUNDS, SPACING_SECONDS, Evidence

MINUTES = SPACING_SECONDS * (ROUNDS - 1)


def after(moments: list[float]) -> Evidence:
    evidence = Evidence()
    for moment in moments:
        evidence = evidence.and_a_round(moment)
    return evidence


@given(st.lists(st.floats(0, MINUTES - 1e-6), max_size=40))
def test_a_burst_is_one_refusal(moments: list[float]) -> None:
    assert not after(sorted(moments)).suffices


@given(start=st.floats(0, 1e6), gap=st.floats(0.01, 120.0))
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
