"""Has each method ten mistakes, each with commands that make it?"""

import re
from pathlib import Path
from typing import Final

import pytest

from device.config.methods import METHODS
from factory.errors.catalogue import CATALOGUE

PAGE: Final = (Path(__file__).parents[2] / "docs" / "mistakes.md").read_text(encoding="utf-8")
AS_BY_CLAIM: Final = {"claim-aws-keys", "claim-own-ca"}


def codes(chapter: str) -> list[str]:
    text = PAGE.partition(f"\n## {chapter}\n")[2].partition("\n## ")[0]
    return re.findall(r"\| \[(FB-\d+)\]\(errors\.md#fb-\d+\) \|", text)


@pytest.mark.parametrize("method", METHODS)
def test_a_method_has_ten_mistakes(method: str) -> None:
    own = codes(method) + (codes("claim") if method in AS_BY_CLAIM else [])
    found = codes("Of every method") + own
    assert len(set(found)) >= 10
    assert all(CATALOGUE[code].reproduce for code in found)
