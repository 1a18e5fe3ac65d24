"""Does anything that reads bytes raise what is no error of ours?"""

import pytest

from tests.fuzz.mutate import CORPUS, corpus, fuzz
from tests.fuzz.targets import TARGETS, run
from tests.support.effort import is_long

SEED = 1
SECONDS = 30.0 if is_long() else 2.0
"""At most, by target: the number of inputs ends it on a fast machine."""
INPUTS = 10_000_000 // len(TARGETS) if is_long() else 200


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_kept_is_replayed(target: str) -> None:
    kept = corpus(target)
    assert kept, f"tests/data/corpus/{target} is empty"
    for data in kept:
        run(target, data)


@pytest.mark.parametrize("target", TARGETS)
def test_whatever_the_bytes_are_only_our_own_errors_come(target: str) -> None:
    tried = fuzz(target, seconds=SECONDS, most=INPUTS, seed=SEED)
    print(f"{target}: {tried:,} inputs, seed {SEED}")  # noqa: T201 - shown with -s
    assert tried > 0


def test_every_folder_of_the_corpus_has_a_target() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)


def test_the_fuzzer_finds_what_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(data: bytes) -> object:
        return data.decode()

    monkeypatch.setitem(TARGETS, "topic-filter", careless)
    with pytest.raises(UnicodeDecodeError) as caught:
        fuzz("topic-filter", seconds=30.0, most=10_000, seed=SEED)
    assert "target topic-filter, seed 1, input" in caught.value.__notes__[0]
