"""What a row of waits is evidence of."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.backoff import Pattern, grows, hurries, pattern

SHORTEST = st.floats(0.2, 10.0)
NOISE = st.lists(st.floats(0.0, 0.02), min_size=5, max_size=5)


@given(SHORTEST, NOISE)
def test_the_same_wait_is_constant(first: float, noise: list[float]) -> None:
    assert pattern([first + more for more in noise]) is Pattern.CONSTANT


@given(SHORTEST, NOISE)
def test_the_same_step_is_linear(first: float, noise: list[float]) -> None:
    waits = [first + 0.5 + step * 1.0 + more for step, more in enumerate(noise)]
    assert pattern(waits) is Pattern.LINEAR


@given(SHORTEST, st.floats(1.8, 3.0))
def test_the_same_factor_is_strictly_exponential(first: float, factor: float) -> None:
    assert pattern([first * factor**n for n in range(5)]) is Pattern.EXPONENTIAL


@pytest.mark.parametrize(
    ("waits", "expected"),
    [
        ([1.0, 2.0, 4.0, 8.0, 8.0], Pattern.EXPONENTIAL),
        ([1.0, 2.0, 2.9, 4.0, 4.0], Pattern.LINEAR),
        ([1.4, 2.9, 1.3, 7.2, 9.9], Pattern.JITTERED),
        ([0.0, 0.0, 0.01, 0.0, 0.0], Pattern.CONSTANT),
        ([2.0, 12.0, 12.0, 12.1, 12.0], Pattern.CONSTANT),
    ],
)
def test_a_longest_wait_that_repeats_changes_nothing(waits: list[float], expected: Pattern) -> None:
    assert pattern(waits) is expected


@pytest.mark.parametrize(
    ("waits", "expected"),
    [([1, 1, 1, 1, 1], False), ([1.2, 1.1, 3.5, 2.2, 8.0], True), ([8.0, 4.0, 1.0], False)],
)
def test_growth_is_a_later_half_that_is_longer(waits: list[float], expected: bool) -> None:
    assert grows(waits) is expected


def test_one_wait_of_nothing_is_chance_and_two_are_a_hurry() -> None:
    assert not hurries([0.0, 1.0, 2.0])
    assert hurries([0.0, 1.0, 0.02])
