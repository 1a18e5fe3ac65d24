"""Does any seed break a rule, and does a seed always tell the same story?"""

import functools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.effort import is_long
from tests.world.chance import Accident, Chance
from tests.world.shrink import shrink
from tests.world.world import DAY, HOUR, Outcome, Shape, World

SEEDS = range(100, 400) if is_long() else range(4)
SHORT = Shape(devices=6, hostile=DAY / 2 if is_long() else 3 * HOUR, honest=9 * HOUR)


@pytest.fixture(scope="module")
def outcome_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Outcome]:
    """Return what becomes of the world of a seed, which is run once."""
    return functools.cache(lambda seed: World(seed, tmp_path_factory.mktemp("world"), SHORT).run())


@pytest.mark.parametrize("seed", SEEDS)
def test_no_seed_breaks_a_rule(seed: int, outcome_of: Callable[[int], Outcome]) -> None:
    outcome = outcome_of(seed)

    assert outcome.broken == "", f"scripts/world --seed {seed} shows it"
    assert len(outcome.proven_at) == SHORT.devices


def test_worlds_differ_and_are_hostile(outcome_of: Callable[[int], Outcome]) -> None:
    outcomes = [outcome_of(seed) for seed in (1, 2)]

    assert outcomes[0].hash != outcomes[1].hash
    assert min(len(outcome.accidents) for outcome in outcomes) > 10


def test_a_seed_tells_the_same_story_in_every_process(tmp_path: Path) -> None:
    """Whatever the order of its sets and dictionaries, its keys and its random certificates."""
    hashes = set()
    for number in ("1", "2"):
        words = [sys.executable, "-m", "scripts._world", "--seed", "5", "--hash"]
        environment = {**os.environ, "PYTHONHASHSEED": number, "TMPDIR": str(tmp_path)}
        done = subprocess.run(
            words, capture_output=True, text=True, check=True, env=environment, timeout=300
        )
        hashes.add(done.stdout)
    assert len(hashes) == 1
    assert len(hashes.pop().strip()) == 16


def test_a_run_with_all_its_accidents_is_the_same_run(
    tmp_path: Path, outcome_of: Callable[[int], Outcome]
) -> None:
    first = outcome_of(3)
    again = World(3, tmp_path / "2", SHORT, only=frozenset(first.accidents)).run()
    quiet = World(3, tmp_path / "3", SHORT, only=frozenset()).run()

    assert again.hash == first.hash
    assert quiet.accidents == []
    assert quiet.hash != first.hash


def test_shrinking_leaves_what_is_needed() -> None:
    accidents: list[Accident] = [("kind", "d0", number) for number in range(100)]
    needed = {accidents[17], accidents[81]}

    assert set(shrink(accidents, lambda some: needed <= some)) == needed


def test_chance_strikes_as_often_as_it_is_told() -> None:
    chance = Chance(1, {"often": 0.5, "seldom": 0.01})
    often = sum(chance.strikes("often", "d0") for _ in range(10_000))
    seldom = sum(chance.strikes("seldom", "d0") for _ in range(10_000))

    assert 4_800 < often < 5_200
    assert 60 < seldom < 140
    assert not chance.strikes("never", "d0")
