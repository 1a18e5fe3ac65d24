"""Does each help fit a screen of 80 columns, without colours?"""

import pytest

from scripts._docs import help_of
from scripts._man import PARSERS, verbs_of

LINES = [
    f"{command} {verb}".strip()
    for command in PARSERS
    for verb in ("", *verbs_of(PARSERS[command]()))
]


@pytest.mark.parametrize("line", LINES)
def test_the_help_fits(line: str) -> None:
    shown = help_of(line)
    assert shown.startswith("usage: ")
    assert [each for each in shown.splitlines() if len(each) > 80] == []
    assert "\x1b" not in shown
