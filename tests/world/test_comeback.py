"""From when does the world count how long a device takes to come back? Does the page say so?"""

from pathlib import Path

import pytest

from tests.world.comeback import INACTIVE_SECONDS, WHILE_SECONDS, Comebacks
from tests.world.recovery import KINDS, recoveries, row

PAGE = Path(__file__).parents[2] / "docs" / "cannot-be-bricked.md"


def test_what_is_over_at_once_counts_from_when_it_struck() -> None:
    comebacks = Comebacks()
    comebacks.struck("busy", "d0", 100.0)
    comebacks.at_home("d0", 103.0)
    comebacks.at_home("d0", 200.0)

    assert comebacks.seconds == {"busy": [3.0]}


def test_what_lasts_counts_from_its_end() -> None:
    comebacks = Comebacks()
    comebacks.struck("disk full for a while", "d0", 100.0)
    comebacks.at_home("d0", 103.0)
    comebacks.at_home("d0", 100.0 + WHILE_SECONDS + 7.0)

    assert comebacks.seconds == {"disk full for a while": [7.0]}


def test_a_power_cut_counts_from_when_the_power_is_back() -> None:
    comebacks = Comebacks()
    comebacks.struck("power cut", "d0", 100.0)
    comebacks.power_is_back("d0", 400.0)
    comebacks.at_home("d0", 401.0)

    assert comebacks.seconds == {"power cut": [1.0]}


def test_where_another_strikes_before_the_device_is_back_the_last_one_counts() -> None:
    comebacks = Comebacks()
    comebacks.struck("busy", "d0", 100.0)
    comebacks.struck("certificate INACTIVE for a while", "d0", 101.0)
    comebacks.struck("busy", "d1", 100.0)
    comebacks.at_home("d1", 102.0)
    comebacks.at_home("d0", 101.0 + INACTIVE_SECONDS + 2.0)

    assert comebacks.seconds == {"busy": [2.0, 2.0], "certificate INACTIVE for a while": [2.0]}


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_the_page_has_the_times_of_each_accident(kind: str, tmp_path: Path) -> None:
    said = row(kind, recoveries(kind, tmp_path))

    assert said in PAGE.read_text(encoding="utf-8"), "scripts/world --recovery prints the table"
